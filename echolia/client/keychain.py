"""The machine's keychain, through `keyring`: whichever the operating system guards, and no other."""

from __future__ import annotations

from contextlib import closing
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final, Protocol

from echolia.core.errors import EcholiaError
from echolia.core.ids import b64, unb64

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE: Final = "echolia"
_LEAST_PRIORITY: Final = 1  # keyring's own mark of what it recommends: files in the clear are below it
# Open from the login on, as a rule; the others may ask at any use.
_ON_LINUX: Final = "keyring.backends.SecretService"
_OPEN: Final = frozenset({_ON_LINUX, "keyring.backends.macOS"})


class Keychain(Protocol):
    """Keeps small secrets by name, guarded by the operating system; may raise `keychain_unavailable`."""

    def put(self, name: str, secret: bytes) -> None:
        """Keep a secret under a name that nothing was kept under."""

    def get(self, name: str) -> bytes:
        """The secret of this name."""

    def asks_nothing(self) -> bool:
        """Whether it is unlocked, so that neither `put` nor `get` would ask the person for anything."""


class KeyringKeychain:
    """A `Keychain` in one of keyring's backends."""

    def __init__(self, backend: KeyringBackend) -> None:
        self._backend = backend

    def put(self, name: str, secret: bytes) -> None:
        """See `Keychain.put`; reads it back, so that what drops it is noticed."""
        self._asked("set_password", name, b64(secret))
        if not compare_digest(self.get(name), secret):
            raise EcholiaError("keychain_unavailable")

    def get(self, name: str) -> bytes:
        """See `Keychain.get`."""
        found = self._asked("get_password", name)
        if not isinstance(found, str):
            raise EcholiaError("keychain_unavailable")
        try:
            return unb64(found)
        except EcholiaError:
            raise EcholiaError("keychain_unavailable") from None

    def asks_nothing(self) -> bool:
        """See `Keychain.asks_nothing`."""
        module = type(self._backend).__module__
        return module in _OPEN and (module != _ON_LINUX or _is_unlocked())

    def _asked(self, method: str, *words: str) -> Any:
        try:
            return getattr(self._backend, method)(SERVICE, *words)
        except Exception:  # noqa: BLE001 - each backend raises what its system's library raises, secrets included
            raise EcholiaError("keychain_unavailable") from None


def system_keychain() -> Keychain | None:
    """The keychain of this machine, None where there is none that the operating system guards."""
    from keyring import get_keyring  # noqa: PLC0415 - only those who keep secrets there wait for it

    try:
        found = real(get_keyring())
    except Exception:  # noqa: BLE001 - a keyring that was configured wrongly raises anything
        return None
    return None if found is None else KeyringKeychain(found)


def real(backend: KeyringBackend) -> KeyringBackend | None:
    """The backend that keeps secrets guarded, this one or one in its chain; None if there is none."""
    chained = getattr(backend, "backends", None)
    if chained is not None:
        return next((found for each in chained if (found := real(each)) is not None), None)
    return backend if backend.priority >= _LEAST_PRIORITY else None


def _is_unlocked() -> bool:
    """Whether the Secret Service has a default collection that is open: else keyring would ask for it."""
    import secretstorage  # noqa: PLC0415 - Linux alone has it

    try:
        with closing(secretstorage.dbus_init()) as bus:
            return not secretstorage.get_collection_by_alias(bus, "default").is_locked()
    except Exception:  # noqa: BLE001 - no bus, no service, no collection
        return False
