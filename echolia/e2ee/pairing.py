"""Pairing's cryptography: the code, sealed mailbox messages, six digits, the secrets (`spec/pairing.md`).

Pure: entropy comes in, bytes come out. Who sits in between, server included, can spoil a pairing but gains
nothing from it, except by guessing the digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final, Literal, TypeAlias

from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base
from nacl.exceptions import CryptoError

from echolia.core import canonical
from echolia.core.box_keys import can_be_sealed_to
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64, unb64
from echolia.e2ee import aead
from echolia.e2ee.aead import NONCE_BYTES
from echolia.e2ee.derive import derive
from echolia.e2ee.keys import SECRET_BYTES, AccountSecrets
from echolia.e2ee.secret import Secret, hidden, hide

Side: TypeAlias = Literal["owner", "guest"]
Dice = Callable[[int], bytes]

DIGITS: Final = 6
_PREFIX: Final = "echolia:"
_MOST_CODE_CHARACTERS: Final = 2048


@dataclass(frozen=True, slots=True)
class Code:
    """What the existing device shows: the server's address, a mailbox (16 bytes), a secret (32 bytes)."""

    server: str
    mailbox: bytes
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Hide the secret."""
        hide(self, "secret")

    def encode(self) -> str:
        """The text to show, or to put into a QR code."""
        fields = {"v": 1, "s": self.server, "m": self.mailbox, "k": self.secret}
        return _PREFIX + b64(canonical.encode(fields))

    @classmethod
    def decode(cls, text: str) -> Code:
        """The code in a text, spaces aside; raises `pairing_code_invalid` or `unsupported_version`."""
        text = "".join(text.split())
        if not text.startswith(_PREFIX) or len(text) > _MOST_CODE_CHARACTERS:
            raise EcholiaError("pairing_code_invalid")
        try:
            fields = hidden(canonical.decode(unb64(text.removeprefix(_PREFIX))))
        except (EcholiaError, ValueError):
            raise EcholiaError("pairing_code_invalid") from None
        if not isinstance(fields, dict) or type(fields.get("v")) is not int:
            raise EcholiaError("pairing_code_invalid")
        if fields["v"] != 1:
            raise EcholiaError("unsupported_version", "pairing code version must be 1")
        return cls._checked(fields)

    @classmethod
    def _checked(cls, fields: dict[str, Any]) -> Code:
        server, mailbox, secret = (fields.get(name) for name in ("s", "m", "k"))
        if not (isinstance(server, str) and isinstance(mailbox, bytes) and isinstance(secret, bytes)):
            raise EcholiaError("pairing_code_invalid")
        if len(fields) != 4 or (len(mailbox), len(secret)) != (16, 32):
            raise EcholiaError("pairing_code_invalid")
        return cls(server, bytes(mailbox), secret)

    def token(self) -> bytes:
        """What lets a guest use the mailbox; the server knows its hash."""
        return Secret(derive(32, self.secret, b"", b"echolia1/mailbox"))

    def seal(self, side: Side, n: int, contents: Mapping[str, Any], dice: Dice) -> bytes:
        """A mailbox message."""
        nonce = dice(NONCE_BYTES)
        return nonce + aead.seal(self._key(side, n), nonce, canonical.encode(contents), self.mailbox)

    def open(self, side: Side, n: int, message: bytes) -> dict[str, Any]:
        """The contents of the other side's message; raises `pairing_failed`."""
        raw = _opened(message, self.mailbox, self._key(side, n))
        try:
            contents = canonical.decode(raw)
        except ValueError:
            contents = None
        if not isinstance(contents, dict):
            raise EcholiaError("pairing_failed")
        return contents

    def _key(self, side: Side, n: int) -> bytes:
        return Secret(derive(32, self.secret, side.encode() + bytes((n,)), b"echolia1/pairmsg"))


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """An X25519 pair for one pairing."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Hide the secret."""
        hide(self, "secret")

    @classmethod
    def generate(cls, dice: Dice) -> Ephemeral:
        """A new pair."""
        return cls(dice(SECRET_BYTES))

    @property
    def public(self) -> bytes:
        """Its public key, 32 bytes."""
        return crypto_scalarmult_base(self.secret)


@dataclass(frozen=True, slots=True)
class Reveal:
    """The guest's keys (32 bytes each) as it commits to them and shows them; `raw` is what is hashed."""

    sign: bytes
    box: bytes
    eph: bytes
    raw: bytes = field(repr=False)

    @classmethod
    def make(cls, sign: bytes, box: bytes, eph: bytes, dice: Dice) -> Reveal:
        """The reveal of these public keys."""
        fields = {"sign": sign, "box": box, "eph": eph, "nonce": dice(16)}
        return cls(sign, box, eph, canonical.encode(fields))

    @classmethod
    def read(cls, raw: object, commitment: object) -> Reveal:
        """The reveal that was committed to; raises `pairing_failed`."""
        if not isinstance(raw, bytes) or not isinstance(commitment, bytes):
            raise EcholiaError("pairing_failed")
        try:
            fields = canonical.decode(raw)
            lengths = {name: len(value) for name, value in fields.items() if isinstance(value, bytes)}
        except (ValueError, AttributeError):
            lengths = {}
        if lengths != {"sign": 32, "box": 32, "eph": 32, "nonce": 16} or len(fields) != len(lengths):
            raise EcholiaError("pairing_failed")
        if not can_be_sealed_to(fields["box"]):
            raise EcholiaError("pairing_failed")
        reveal = cls(fields["sign"], fields["box"], fields["eph"], raw)
        if not compare_digest(reveal.commitment(), commitment):
            raise EcholiaError("pairing_failed")
        return reveal

    def commitment(self) -> bytes:
        """What binds the guest before it has seen the owner's key."""
        return sha256(b"echolia/1/pair-commit" + self.raw).digest()


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both sides share, if nobody is in between: then their digits are the same."""

    dh: bytes = field(repr=False)
    transcript: bytes

    def __post_init__(self) -> None:
        """Hide what is shared."""
        hide(self, "dh")

    @classmethod
    def reach(
        cls, own: Ephemeral, other: object, mailbox: bytes, account: bytes, reveal: Reveal,
        owner_eph: bytes, log_head: bytes,
    ) -> Agreement:  # fmt: skip
        """The agreement of an own pair with the other's public key; raises `pairing_failed`."""
        if not isinstance(other, bytes) or len(other) != 32:  # libsodium would read 32 bytes all the same
            raise EcholiaError("pairing_failed")
        try:
            dh = Secret(crypto_scalarmult(own.secret, other))
        except (CryptoError, RuntimeError, ValueError, TypeError):
            raise EcholiaError("pairing_failed") from None
        return cls(dh, sha256(mailbox + account + reveal.raw + owner_eph + log_head).digest())

    def digits(self) -> str:
        """The six digits that the guest shows and the person types on the owner's device."""
        number = int.from_bytes(self._derived(b"echolia1/pairsas")[:8], "big")
        return f"{number % 10**DIGITS:0{DIGITS}}"

    def mac(self) -> bytes:
        """What the owner sends once the digits were typed."""
        return self._derived(b"echolia1/pairmac")

    def seal_secrets(self, secrets: AccountSecrets, entry: bytes, dice: Dice) -> bytes:
        """The account secrets for the guest whose `add` entry this is."""
        nonce = dice(NONCE_BYTES)
        return nonce + aead.seal(self._derived(b"echolia1/pairkey"), nonce, secrets.encode(), entry)

    def open_secrets(self, sealed: object, entry: bytes) -> AccountSecrets:
        """What `seal_secrets` sealed; raises `pairing_failed`."""
        key = self._derived(b"echolia1/pairkey")
        raw = Secret(_opened(sealed if isinstance(sealed, bytes) else b"", entry, key))
        try:
            return AccountSecrets.decode(raw)
        except EcholiaError:
            raise EcholiaError("pairing_failed") from None

    def _derived(self, person: bytes) -> bytes:
        return Secret(derive(32, self.dh, self.transcript, person))


def _opened(sealed: bytes, aad: bytes, key: bytes) -> bytes:
    plaintext = aead.unseal(key, sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad)
    if plaintext is None:
        raise EcholiaError("pairing_failed")
    return plaintext
