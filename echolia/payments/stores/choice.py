"""The stores that the settings name: a further one is one more adapter and one more line here.

Apple's and Google's libraries are loaded when their store is made, and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from echolia.core.errors import EcholiaError
from echolia.payments.stores.access import AppleAccess, GoogleAccess
from echolia.payments.stores.port import StoreName, StorePort
from echolia.payments.stores.sandbox import sandbox_of
from echolia.payments.stores.sections import accesses_in
from echolia.settings import Settings

Clock = Callable[[], int]


def open_stores(settings: Settings, clock_ms: Clock) -> Mapping[StoreName, StorePort]:
    """Every store that purchases are taken of, by its name. Raises: `settings_invalid`."""
    stores: dict[StoreName, StorePort] = {}
    if settings.sandbox_store:
        stores["sandbox"] = sandbox_of(settings.data)
    if settings.stores:
        made = [make(access, clock_ms) for access in accesses_in(settings.stores)]
        stores.update((store.name, store) for store in made)
    return stores


def make(access: AppleAccess | GoogleAccess, clock_ms: Clock) -> StorePort:
    """The store that this is access to; `clock_ms` tells Unix milliseconds.

    Raises: `settings_invalid` where a key or certificate cannot be read, or its libraries are not installed.
    """
    try:
        return _made(access, clock_ms)
    except ImportError as error:
        missing = 'app stores need an extra: pip install "echolia[payments]"'
        raise EcholiaError("settings_invalid", missing) from error


def _made(access: AppleAccess | GoogleAccess, clock_ms: Clock) -> StorePort:
    match access:
        case AppleAccess():
            from echolia.payments.stores.apple import AppleStore  # noqa: PLC0415  # who has one pays

            return AppleStore(access, clock_ms)
        case GoogleAccess():
            from echolia.payments.stores.google import GoogleStore  # noqa: PLC0415

            return GoogleStore(access, clock_ms)
