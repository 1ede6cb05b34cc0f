"""How a home's secrets are kept: in a file of their own, by the machine's keychain, or under a passphrase."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Final, Protocol, TypeAlias

from echolia.client.environment import Environment
from echolia.client.reports import Kept
from echolia.core.errors import EcholiaError
from echolia.core.ids import ID_BYTES
from echolia.e2ee.passphrase import KEY_BYTES, SALT_BYTES, WORK, Passphrase, wipe
from echolia.e2ee.vault_seal import ByKeychain, ByPassphrase, Dice, SealedVault, Terms

Typed: TypeAlias = str | bytes | bytearray
# A passphrase, or whom to ask for it, once it is needed; who answers None was not told.
Given: TypeAlias = Typed | Callable[[], Typed | Awaitable[Typed | None] | None]


class Keeping(Protocol):
    """Turns a vault's contents into the bytes of its file."""

    @property
    def kept(self) -> Kept:
        """Where the key to the contents is."""

    def file_of(self, contents: bytes) -> bytes:
        """The bytes to write."""

    def forget(self) -> None:
        """Overwrite the key: nothing is written any more."""


class InFile:
    """The contents as they are, in a file that its user alone can read."""

    kept: Final = "file"

    def file_of(self, contents: bytes) -> bytes:
        """See `Keeping.file_of`."""
        return contents

    def forget(self) -> None:
        """See `Keeping.forget`; there is no key."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """The contents sealed under a key, each time with a fresh nonce."""

    terms: Terms
    key: bytearray = field(repr=False)
    dice: Dice = field(repr=False)

    @property
    def kept(self) -> Kept:
        """See `Keeping.kept`."""
        return "keychain" if isinstance(self.terms, ByKeychain) else "passphrase"

    def file_of(self, contents: bytes) -> bytes:
        """See `Keeping.file_of`."""
        return SealedVault.seal(contents, self.terms, self.key, self.dice).encode()

    def forget(self) -> None:
        """See `Keeping.forget`."""
        wipe(self.key)


IN_FILE: Final = InFile()


async def new_keeping(kept: Kept | None, given: Given | None, environment: Environment) -> Keeping:
    """How a vault is kept from now on.

    None stands for what needs nothing of the person: a keychain that asks nothing, or else the file. Raises
    `passphrase_needed`, `passphrase_invalid`, `keychain_unavailable`.
    """
    if given is not None:
        return await _under_passphrase(given, environment)
    match kept:
        case "passphrase":
            raise EcholiaError("passphrase_needed")
        case "file":
            return IN_FILE
        case _:
            return await asyncio.to_thread(_in_keychain, environment, must=kept is not None)


async def unsealed(vault: SealedVault, given: Given | None, environment: Environment) -> tuple[bytes, Sealed]:
    """A vault's contents, and how to seal them again.

    Raises `passphrase_needed`, `passphrase_wrong`, `keychain_unavailable`, `home_damaged`.
    """
    if isinstance(vault.terms, ByPassphrase):
        if given is None:
            raise EcholiaError("passphrase_needed")
        with await _taken(given) as passphrase:
            key = await asyncio.to_thread(vault.terms.key, passphrase)
    else:
        key = await asyncio.to_thread(_kept_key, vault.terms, environment)
    try:
        return vault.open(key), Sealed(vault.terms, key, environment.dice)
    except EcholiaError:
        wipe(key)
        raise


async def _under_passphrase(given: Given, environment: Environment) -> Sealed:
    with await _taken(given) as passphrase:
        passphrase.check_new()
        terms = ByPassphrase(environment.dice(SALT_BYTES), WORK)
        return Sealed(terms, await asyncio.to_thread(terms.key, passphrase), environment.dice)


async def _taken(given: Given) -> Passphrase:
    """The passphrase, asked for if need be; a buffer that was handed over is overwritten.

    Raises `passphrase_needed` if nobody said it.
    """
    typed = given() if callable(given) else given
    if isawaitable(typed):
        typed = await typed
    if typed is None:
        raise EcholiaError("passphrase_needed")
    try:
        return Passphrase(typed)
    finally:
        if isinstance(typed, bytearray):
            wipe(typed)


def _in_keychain(environment: Environment, *, must: bool) -> Keeping:
    """A new key in the keychain; the file where there is none, unless it must be."""
    keychain = environment.keychain()
    if keychain is not None and (must or keychain.asks_nothing()):
        terms, key = ByKeychain(environment.dice(ID_BYTES)), environment.dice(KEY_BYTES)
        try:
            keychain.put(terms.id.hex(), key)
            return Sealed(terms, bytearray(key), environment.dice)
        except EcholiaError:
            if must:
                raise
    if must:
        raise EcholiaError("keychain_unavailable", "this machine has none that the system guards")
    return IN_FILE


def _kept_key(terms: ByKeychain, environment: Environment) -> bytearray:
    keychain = environment.keychain()
    if keychain is None:
        raise EcholiaError("keychain_unavailable", "this machine has none that the system guards")
    return bytearray(keychain.get(terms.id.hex()))
