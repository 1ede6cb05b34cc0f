"""The adapter of each store; its libraries are loaded when one is made, and not before."""

from __future__ import annotations

from collections.abc import Callable

from echolia.core.errors import EcholiaError
from echolia.payments.stores.access import AppleAccess, GoogleAccess
from echolia.payments.stores.port import StorePort


def make(access: AppleAccess | GoogleAccess, clock_ms: Callable[[], int]) -> StorePort:
    """The store that this is access to; `clock_ms` tells Unix milliseconds.

    Raises: `settings_invalid` where a key or certificate cannot be read, or its libraries are not installed.
    """
    try:
        return _made(access, clock_ms)
    except ImportError as error:
        missing = 'app stores need an extra: pip install "echolia[payments]"'
        raise EcholiaError("settings_invalid", missing) from error


def _made(access: AppleAccess | GoogleAccess, clock_ms: Callable[[], int]) -> StorePort:
    match access:
        case AppleAccess():
            from echolia.payments.stores.apple import AppleStore  # noqa: PLC0415  # who has one pays

            return AppleStore(access, clock_ms)
        case GoogleAccess():
            from echolia.payments.stores.google import GoogleStore  # noqa: PLC0415

            return GoogleStore(access, clock_ms)
