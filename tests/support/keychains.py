"""Keychains for tests: keyring backends that keep secrets in memory, or fail as real ones do."""

from __future__ import annotations

from collections.abc import Callable

from keyring.backend import KeyringBackend
from keyring.compat import properties
from keyring.errors import KeyringLocked

from echolia.client.keychain import Keychain, KeyringKeychain


class InMemory(KeyringBackend):
    """Keeps what it is given; `locked` says no to everything, `forgets` takes it and drops it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = self.forgets = False

    @properties.classproperty
    def priority(cls) -> float:  # noqa: N805 - as keyring's own backends have it
        """Recommended, as the system's are."""
        return 5

    def get_password(self, service: str, username: str) -> str | None:
        """See `KeyringBackend`."""
        self._check()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """See `KeyringBackend`."""
        self._check()
        if not self.forgets:
            self.kept[service, username] = password

    def _check(self) -> None:
        if self.locked:
            raise KeyringLocked("secret words of a real backend")


class Plaintext(InMemory):
    """A file in the clear, by keyring's own marks."""

    @properties.classproperty
    def priority(cls) -> float:  # noqa: N805
        """Not recommended."""
        return 0.5


class Open(KeyringKeychain):
    """A keychain that is open whenever its backend is."""

    def __init__(self, backend: InMemory) -> None:
        super().__init__(backend)
        self._opened = backend

    def asks_nothing(self) -> bool:
        """See `Keychain.asks_nothing`."""
        return not self._opened.locked


def machine(backend: InMemory) -> Callable[[], Keychain]:
    """A machine with this keychain, as `Environment.keychain` finds it."""
    return lambda: Open(backend)
