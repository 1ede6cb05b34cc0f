"""Device keys, account secrets, and the boxes that carry them (`spec/keys.md`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any

from nacl.bindings import (
    crypto_box_seal,
    crypto_box_seal_open,
    crypto_scalarmult_base,
    crypto_sign_seed_keypair,
)
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey

from echolia.core import canonical
from echolia.core.box_keys import can_be_sealed_to
from echolia.core.errors import EcholiaError
from echolia.core.ids import ID_BYTES, device_id
from echolia.e2ee.derive import derive
from echolia.e2ee.secret import Secret, hidden, hide

SECRET_BYTES = 32
_FIELDS = {"v", "account", "generation", "keys", "index"}


@dataclass(frozen=True, slots=True)
class KeyPairs:
    """An Ed25519 and an X25519 pair: a device's, or those of the recovery phrase.

    Both secrets are 32 bytes and never appear in `repr`.
    """

    sign_secret: bytes = field(repr=False)
    box_secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Hide the secrets."""
        hide(self, "sign_secret", "box_secret")

    @property
    def sign_public(self) -> bytes:
        """Ed25519 public key, 32 bytes."""
        return crypto_sign_seed_keypair(self.sign_secret)[0]

    @property
    def box_public(self) -> bytes:
        """X25519 public key, 32 bytes."""
        return crypto_scalarmult_base(self.box_secret)

    @property
    def device(self) -> bytes:
        """The id (16 bytes) of a device with these keys."""
        return device_id(self.sign_public, self.box_public)

    def public(self) -> dict[str, bytes]:
        """The public keys as device log entries carry them."""
        return {"sign": self.sign_public, "box": self.box_public}

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature (64 bytes) over `message`."""
        return SigningKey(self.sign_secret).sign(message).signature


@dataclass(frozen=True, slots=True)
class AccountSecrets:
    """What every device of an account shares: a key per generation, and the index key (32 bytes each)."""

    account: bytes
    generation: int
    keys: Mapping[int, bytes] = field(repr=False)
    index: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Hide the keys."""
        hide(self, "keys", "index")

    def encode(self) -> bytes:
        """The bytes that key boxes and pairing carry."""
        fields = {"v": 1, "account": self.account, "generation": self.generation, "index": self.index}
        return canonical.encode({**fields, "keys": dict(self.keys)})

    @classmethod
    def decode(cls, raw: bytes) -> AccountSecrets:
        """The secrets from their bytes; raises `key_box_invalid` or `unsupported_version`."""
        try:
            fields = hidden(canonical.decode(raw))
        except ValueError:
            fields = None
        # Types are compared exactly: True == 1 and 1.0 == 1 in Python, but not in CBOR.
        if not isinstance(fields, dict) or set(fields) != _FIELDS or type(fields["v"]) is not int:
            raise EcholiaError("key_box_invalid", "not account secrets")
        if fields["v"] != 1:
            raise EcholiaError("unsupported_version", "account secrets version must be 1")
        account, generation, keys, index = (
            fields[name] for name in ("account", "generation", "keys", "index")
        )
        if not (_sized(account, ID_BYTES) and _sized(index, SECRET_BYTES) and _are_keys(keys, generation)):
            raise EcholiaError("key_box_invalid", "not account secrets")
        return cls(bytes(account), generation, keys, index)

    def followed_by(self, key: bytes) -> AccountSecrets:
        """These secrets with the key (32 bytes) of the next generation."""
        generation = self.generation + 1
        return AccountSecrets(self.account, generation, {**self.keys, generation: key}, self.index)

    def until(self, generation: int) -> AccountSecrets | None:
        """These secrets as they were when that generation began; None if it has not."""
        if generation > self.generation:
            return None
        keys = {n: key for n, key in self.keys.items() if n <= generation}
        return AccountSecrets(self.account, generation, keys, self.index)

    def inside(self, later: AccountSecrets) -> bool:
        """Whether `later` holds all of these, unchanged."""
        kept = all(compare_digest(later.keys.get(n, b""), key) for n, key in self.keys.items())
        return kept and later.account == self.account and compare_digest(later.index, self.index)

    def stream(self, collection: str) -> bytes:
        """The pseudonym (16 bytes) under which the server knows a collection."""
        return derive(16, self.index, collection.encode(), b"echolia1/stream")

    def imported_object(self, source: str, key: str) -> bytes:
        """The id (16 bytes) that an item of a source always gets, so that importing twice finds it again."""
        return derive(
            16, self.index, b"import\0" + source.encode() + b"\0" + key.encode(), b"echolia1/object"
        )


def _sized(value: Any, length: int) -> bool:
    return isinstance(value, bytes) and len(value) == length


def _are_keys(keys: Any, generation: Any) -> bool:
    if not isinstance(keys, dict) or type(generation) is not int or generation not in keys:
        return False
    return all(type(n) is int and 1 <= n < 2**32 and _sized(key, SECRET_BYTES) for n, key in keys.items())


def seal_key_box(secrets: AccountSecrets, recipient_box: bytes) -> bytes:
    """The account secrets, readable by the owner of this X25519 public key only.

    Raises `key_box_invalid` for a key of small order, which no verified device log holds.
    """
    if not can_be_sealed_to(recipient_box):
        raise EcholiaError("key_box_invalid", "nothing can be sealed to that key")
    return crypto_box_seal(secrets.encode(), recipient_box)


def open_key_box(box: bytes, keys: KeyPairs) -> AccountSecrets:
    """What `seal_key_box` sealed. Verify its signature first.

    Raises `key_box_invalid` or `unsupported_version`.
    """
    try:
        raw = Secret(crypto_box_seal_open(box, keys.box_public, keys.box_secret))
    except (CryptoError, ValueError, TypeError):
        raise EcholiaError("key_box_invalid", "does not open") from None
    return AccountSecrets.decode(raw)
