"""The vault: a home's secrets in one small file, replaced whole or not at all."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from echolia.client.environment import Durably, Environment, at_once
from echolia.client.faults import home_faults
from echolia.client.keeping import IN_FILE, Given, Keeping, unsealed
from echolia.core import canonical
from echolia.core.device_entries import SignedEntry
from echolia.core.errors import EcholiaError
from echolia.e2ee.keys import AccountSecrets, KeyPairs
from echolia.e2ee.secret import hidden
from echolia.e2ee.vault_seal import SealedVault

VERSION: Final = 1
_MOST_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Staged:
    """The account key of a generation about to begin, and the entropy of a phrase that comes with it."""

    key: bytes = field(repr=False)
    entropy: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Vault:
    """A device's secrets and where its account lives.

    `registered` is False until the server has confirmed the account; `genesis` is what registers it.
    `entropy` is the recovery phrase's, until the person has it. `successor` are the keys of a new identity
    that is being taken (spec/checkpoints.md#a-new-identity), `staged` is what a rotation is about to bring.
    `keeping` is how all of it is written.
    """

    server: str
    keys: KeyPairs = field(repr=False)
    secrets: AccountSecrets = field(repr=False)
    registered: bool = True
    genesis: SignedEntry | None = field(default=None, repr=False)
    entropy: bytes | None = field(default=None, repr=False)
    successor: KeyPairs | None = field(default=None, repr=False)
    staged: Staged | None = field(default=None, repr=False)
    keeping: Keeping = field(default=IN_FILE, repr=False, compare=False)

    def confirmed(self) -> Self:
        """The vault of an account that the server knows."""
        return replace(self, registered=True)

    def moved(self, server: str) -> Self:
        """The vault of an account that registers elsewhere after all."""
        return replace(self, server=server)

    def without_phrase(self) -> Self:
        """The vault once the person has the phrase."""
        return replace(self, entropy=None, genesis=None)

    def succeeded(self) -> Self:
        """The vault once the new identity is the device's."""
        return self if self.successor is None else replace(self, keys=self.successor, successor=None)

    def save(self, path: Path, durably: Durably = at_once) -> None:
        """Write the vault so that a crash leaves the former one or this one; raises `disk_full`."""
        fresh = path.with_suffix(".new")
        with home_faults():
            fresh.unlink(missing_ok=True)
            handle = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(self.keeping.file_of(self._encode()))
                file.flush()
                os.fsync(file.fileno())
            durably(lambda: fresh.replace(path))
            sync_folder(path.parent)

    @classmethod
    async def load(cls, path: Path, given: Given | None, environment: Environment) -> Vault:
        """The vault at `path`, opened by whatever keeps it; `given` is the passphrase, or asks for it.

        Raises `home_missing`, `home_damaged`, `home_newer`, `vault_refused`, `passphrase_needed`,
        `passphrase_wrong`, `keychain_unavailable`.
        """
        fields = _fields(path)
        if fields.get("v") == VERSION:
            return cls._read(fields)
        contents, keeping = await unsealed(SealedVault.decode(fields), given, environment)
        return replace(cls._read(_decoded(contents)), keeping=keeping)

    def _encode(self) -> bytes:
        genesis = self.genesis and [self.genesis.entry, dict(self.genesis.signatures)]
        return canonical.encode(
            {
                "v": VERSION,
                "server": self.server,
                "sign": self.keys.sign_secret,
                "box": self.keys.box_secret,
                "secrets": self.secrets.encode(),
                "registered": self.registered,
                "genesis": genesis,
                "entropy": self.entropy,
                "successor": self.successor and [self.successor.sign_secret, self.successor.box_secret],
                "staged": self.staged and [self.staged.key, self.staged.entropy],
            }
        )

    @classmethod
    def _read(cls, fields: dict[str, Any]) -> Vault:
        if fields.get("v") != VERSION:
            raise EcholiaError("home_newer")
        try:
            return cls._decode(fields)
        except (ValueError, KeyError, TypeError, IndexError, EcholiaError):
            raise _damaged() from None

    @classmethod
    def _decode(cls, fields: dict[str, Any]) -> Vault:
        genesis, successor, staged = fields["genesis"], fields.get("successor"), fields.get("staged")
        return cls(
            fields["server"],
            KeyPairs(fields["sign"], fields["box"]),
            AccountSecrets.decode(fields["secrets"]),
            fields["registered"],
            SignedEntry(*genesis) if genesis else None,
            fields["entropy"],
            KeyPairs(*successor) if successor else None,
            Staged(*staged) if staged else None,
        )


def _fields(path: Path) -> dict[str, Any]:
    """The map in the file."""
    try:
        if path.exists() and not path.is_file():
            raise _damaged()  # reading a pipe or a device in its place would never end
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise EcholiaError("home_missing") from None
    return _decoded(content)


def _decoded(content: bytes) -> dict[str, Any]:
    try:
        fields = hidden(canonical.decode(content))
    except ValueError:
        raise _damaged() from None
    if not isinstance(fields, dict) or type(fields.get("v")) is not int:
        raise _damaged()
    return fields


def _damaged() -> EcholiaError:
    return EcholiaError("home_damaged", "its vault cannot be read")


def sync_folder(folder: Path) -> None:
    """Make a folder's names durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
