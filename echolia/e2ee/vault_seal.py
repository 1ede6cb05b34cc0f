"""A sealed vault: what stands outside it, and how its contents are closed and opened (`spec/home.md`).

Pure: entropy, keys and bytes come in, bytes come out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any, Final, TypeAlias

from echolia.core import canonical
from echolia.core.errors import EcholiaError
from echolia.core.ids import ID_BYTES
from echolia.e2ee import aead
from echolia.e2ee.aead import NONCE_BYTES
from echolia.e2ee.derive import derive
from echolia.e2ee.passphrase import SALT_BYTES, Passphrase, Work

Dice: TypeAlias = Callable[[int], bytes]
VERSION: Final = 2
_CHECK_BYTES: Final = 32
_AAD: Final = b"echolia/1/vault"


@dataclass(frozen=True, slots=True)
class ByPassphrase:
    """The key is a passphrase, stretched with a salt (16 bytes)."""

    salt: bytes
    work: Work

    def fields(self) -> dict[str, Any]:
        """What stands in the head."""
        return {"by": "passphrase", "salt": self.salt, "ops": self.work.ops, "mem": self.work.mem}

    def key(self, passphrase: Passphrase) -> bytearray:
        """The key, if this is the passphrase."""
        return passphrase.key(self.salt, self.work)


@dataclass(frozen=True, slots=True)
class ByKeychain:
    """The key lies in the machine's keychain, under this id (16 bytes)."""

    id: bytes

    def fields(self) -> dict[str, Any]:
        """What stands in the head."""
        return {"by": "keychain", "id": self.id}


Terms: TypeAlias = ByPassphrase | ByKeychain
_WRONG: Final = {ByPassphrase: "passphrase_wrong", ByKeychain: "keychain_unavailable"}


@dataclass(frozen=True, slots=True)
class SealedVault:
    """A vault as it lies on the disk: `terms` say where its key comes from, `check` whether it is the one."""

    terms: Terms
    check: bytes
    nonce: bytes
    sealed: bytes = field(repr=False)

    @classmethod
    def seal(cls, contents: bytes, terms: Terms, key: bytearray, dice: Dice) -> SealedVault:
        """The contents under a key (32 bytes) and a fresh nonce."""
        check, nonce = _derived(terms, key, b"echolia1/vltchk"), dice(NONCE_BYTES)
        sealing = _derived(terms, key, b"echolia1/vltkey")
        return cls(terms, check, nonce, aead.seal(sealing, nonce, contents, _aad(terms, check)))

    def open(self, key: bytearray) -> bytes:
        """The contents; raises `passphrase_wrong` or `keychain_unavailable`, or `home_damaged`."""
        if not compare_digest(_derived(self.terms, key, b"echolia1/vltchk"), self.check):
            raise EcholiaError(_WRONG[type(self.terms)])
        sealing = _derived(self.terms, key, b"echolia1/vltkey")
        contents = aead.unseal(sealing, self.nonce, self.sealed, _aad(self.terms, self.check))
        if contents is None:
            raise EcholiaError("home_damaged", "its vault was changed")
        return contents

    def encode(self) -> bytes:
        """The bytes of the file."""
        head = _head(self.terms, self.check)
        return canonical.encode({"v": VERSION, "head": head, "nonce": self.nonce, "sealed": self.sealed})

    @classmethod
    def decode(cls, fields: Mapping[str, Any]) -> SealedVault:
        """What is in a file's map. Raises `home_damaged`, `home_newer`, `vault_refused`."""
        if fields.get("v") != VERSION:
            raise EcholiaError("home_newer")
        head, nonce, sealed = (fields.get(name) for name in ("head", "nonce", "sealed"))
        if len(fields) != 4 or not isinstance(head, dict) or not isinstance(sealed, bytes):
            raise EcholiaError("home_damaged", "its vault cannot be read")
        return cls(_terms(head), _bytes(head.get("check"), _CHECK_BYTES), _bytes(nonce, NONCE_BYTES), sealed)


def _terms(head: Mapping[str, Any]) -> Terms:
    match head:
        case {"by": "passphrase", "salt": salt, "ops": ops, "mem": mem} if len(head) == 5:
            work = Work(ops, mem)
            if not work.within_limits():
                raise EcholiaError("vault_refused")
            return ByPassphrase(_bytes(salt, SALT_BYTES), work)
        case {"by": "keychain", "id": id_} if len(head) == 3:
            return ByKeychain(_bytes(id_, ID_BYTES))
        case {"by": str(by)} if by not in {"passphrase", "keychain"}:
            raise EcholiaError("home_newer")
    raise EcholiaError("home_damaged", "its vault cannot be read")


def _bytes(value: object, length: int) -> bytes:
    if not isinstance(value, bytes) or len(value) != length:
        raise EcholiaError("home_damaged", "its vault cannot be read")
    return value


def _head(terms: Terms, check: bytes) -> dict[str, Any]:
    return {**terms.fields(), "check": check}


def _aad(terms: Terms, check: bytes) -> bytes:
    return _AAD + canonical.encode(_head(terms, check))


def _derived(terms: Terms, key: bytearray, person: bytes) -> bytes:
    return derive(32, bytes(key), canonical.encode(terms.fields()), person)
