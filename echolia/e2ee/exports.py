"""An export's head and chunks: who may open it, and that nobody can change it (`spec/export.md`)."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from hmac import compare_digest
from struct import Struct
from typing import Any, Final

from nacl.bindings import crypto_box_seal, crypto_box_seal_open, crypto_scalarmult_base
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id

from echolia.core import canonical
from echolia.core.errors import EcholiaError
from echolia.core.export_records import CHUNK_BYTES, invalid
from echolia.e2ee import aead
from echolia.e2ee.aead import NONCE_BYTES
from echolia.e2ee.derive import derive
from echolia.e2ee.recovery import WORDS, recovery_keys

MAGIC: Final = b"echolia export\r\n"
SEALED_CHUNK_BYTES: Final = NONCE_BYTES + CHUNK_BYTES + 16
PASSPHRASE_CHARACTERS: Final = range(8, 1025)
_START: Final = Struct(">16sBBI")
START_BYTES: Final = _START.size
COMMITMENT_BYTES: Final = 32
_MOST_HEADER_BYTES: Final = 4096
_OPS: Final = range(3, 17)
_MEM: Final = range(64 << 20, (1 << 30) + 1)
_OWN_OPS: Final = 3
_OWN_MEM: Final = 256 << 20
Dice = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a guess of the passphrase costs: Argon2id's operations and bytes of memory."""

    ops: int = _OWN_OPS
    mem: int = _OWN_MEM


@dataclass(frozen=True, slots=True)
class ChunkKey:
    """Seals and opens the chunks of one file.

    `owner` is the recovery signing key (32 bytes) of the phrase that opened it; None if something else did.
    """

    account: bytes
    key: bytes = field(repr=False)
    owner: bytes | None = None

    def seal(self, number: int, last: bool, plaintext: bytes, dice: Dice) -> bytes:
        """A chunk's bytes; the plaintext has `CHUNK_BYTES`."""
        return _sealed(plaintext, self._aad(number, last), self.key, dice)

    def open(self, number: int, last: bool, chunk: bytes) -> bytes:
        """The plaintext of the chunk in this place; raises `export_invalid`."""
        plaintext = aead.unseal(self.key, chunk[:NONCE_BYTES], chunk[NONCE_BYTES:], self._aad(number, last))
        if plaintext is None:
            raise invalid(f"chunk {number} does not open")
        return plaintext

    def _aad(self, number: int, last: bool) -> bytes:
        return b"echolia/1/export" + self.account + number.to_bytes(8, "big") + bytes((last,))


@dataclass(frozen=True, slots=True)
class Head:
    """A file's head, read; `raw` is what the commitment covers."""

    account: bytes
    created_ms: int
    recovery_box: bytes
    has_passphrase: bool
    raw: bytes = field(repr=False)
    commitment: bytes = field(repr=False)
    fields: Mapping[str, Any] = field(repr=False)

    @property
    def length(self) -> int:
        """Where the chunks begin."""
        return len(self.raw) + COMMITMENT_BYTES

    def open_with_words(self, typed: str) -> ChunkKey:
        """The key, by the 24 words or the passphrase; raises `export_locked`, `phrase_invalid`."""
        if self.has_passphrase and len(typed.split()) != WORDS:
            return self.open_with_passphrase(typed)
        return self.open_with_phrase(typed)

    def open_with_passphrase(self, passphrase: str) -> ChunkKey:
        """The key, by the passphrase, which takes a while."""
        return self._committed(self._by_passphrase(passphrase))

    def open_with_phrase(self, phrase: str) -> ChunkKey:
        """The key, by the recovery phrase."""
        keys = recovery_keys(phrase)
        if keys.box_public != self.recovery_box:
            raise EcholiaError("export_locked")
        opened = self._committed(_unsealed(self.fields["recovery"]["box"], keys.box_secret))
        return replace(opened, owner=keys.sign_public)

    def open_with_device(self, box_secret: bytes) -> ChunkKey:
        """The key, by the device that has begun the file: nobody else can have chosen it."""
        key = _device_key(box_secret, self.account)
        return self._committed(_opened(self.fields["device"], _device_aad(self.account), key))

    def _by_passphrase(self, passphrase: str) -> bytes:
        given = self.fields["passphrase"]
        key = _stretched(passphrase, given["salt"], Cost(given["ops"], given["mem"]))
        return _opened(given["sealed"], _passphrase_aad(self.account), key)

    def _committed(self, file_key: bytes) -> ChunkKey:
        key, commitment = _keys(file_key, self.raw)
        if not compare_digest(commitment, self.commitment):
            raise invalid("its head was changed")
        return ChunkKey(self.account, key)


def new_head(
    account: bytes, created_ms: int, recovery_box: bytes, device_secret: bytes, passphrase: str | None,
    dice: Dice, cost: Cost | None = None,
) -> tuple[Head, ChunkKey]:  # fmt: skip
    """The head of a new file, and its new key: for the words, the device, and the passphrase if there is one.

    Raises `passphrase_invalid` for one that is too short, too long, or looks like the words.
    """
    if passphrase is not None and (
        len(passphrase) not in PASSPHRASE_CHARACTERS or len(passphrase.split()) == WORDS
    ):
        raise EcholiaError("passphrase_invalid")
    file_key = dice(32)
    header = {
        "account": account,
        "created": created_ms,
        "recovery": {"to": recovery_box, "box": crypto_box_seal(file_key, recovery_box)},
        "device": _sealed(file_key, _device_aad(account), _device_key(device_secret, account), dice),
        "passphrase": None,
    }
    if passphrase is not None:
        header["passphrase"] = _locked(file_key, account, passphrase, cost or Cost(), dice)
    raw = canonical.encode(header)
    start = _START.pack(MAGIC, 1, 1, len(raw)) + raw
    key, commitment = _keys(file_key, start)
    return read_head(start + commitment), ChunkKey(account, key)


def head_length(start: bytes) -> int:
    """The length of head and commitment, given the first `START_BYTES`.

    Raises `export_invalid`, `unsupported_version`.
    """
    if len(start) < START_BYTES or not start.startswith(MAGIC):
        raise invalid("it is no export")
    _, version, suite, length = _START.unpack(start[:START_BYTES])
    if (version, suite) != (1, 1):
        raise EcholiaError("unsupported_version", "export version and suite must be 1")
    if length > _MOST_HEADER_BYTES:
        raise invalid("its head is too long")
    return START_BYTES + int(length) + COMMITMENT_BYTES


def read_head(raw: bytes) -> Head:
    """The head in these bytes, commitment included; raises `export_invalid`, `unsupported_version`."""
    if len(raw) != head_length(raw):
        raise invalid("its head is cut short")
    covered, commitment = raw[:-COMMITMENT_BYTES], raw[-COMMITMENT_BYTES:]
    try:
        fields = canonical.decode(covered[START_BYTES:])
    except ValueError:
        raise invalid("its head is not deterministic CBOR") from None
    if not _well_formed(fields):
        raise invalid("its head has another form")
    locked = fields["passphrase"]
    if locked is not None and (locked["ops"] not in _OPS or locked["mem"] not in _MEM):
        raise invalid("its passphrase costs too little or too much to try")
    recovery = fields["recovery"]["to"]
    return Head(
        fields["account"], fields["created"], recovery, locked is not None, covered, commitment, fields
    )


def _well_formed(fields: Any) -> bool:
    if not _is_map(
        fields, {"account": 16, "created": int, "recovery": dict, "device": 72, "passphrase": None}
    ):
        return False
    if not 0 <= fields["created"] < 2**53 or not _is_map(fields["recovery"], {"to": 32, "box": 80}):
        return False
    locked = fields["passphrase"]
    return locked is None or _is_map(locked, {"salt": 16, "ops": int, "mem": int, "sealed": 72})


def _is_map(value: Any, forms: Mapping[str, int | type | None]) -> bool:
    """Whether it is a map of these forms: a type, bytes of a length, or anything (None)."""
    if not isinstance(value, dict) or set(value) != set(forms):
        return False
    for name, form in forms.items():
        if isinstance(form, int):
            if type(value[name]) is not bytes or len(value[name]) != form:
                return False
        elif form is not None and type(value[name]) is not form:
            return False
    return True


def _keys(file_key: bytes, head: bytes) -> tuple[bytes, bytes]:
    derived = derive(64, file_key, sha256(head).digest(), b"echolia1/exp-key")
    return derived[:32], derived[32:]


def _unsealed(box: bytes, secret: bytes) -> bytes:
    try:
        return crypto_box_seal_open(box, crypto_scalarmult_base(secret), secret)
    except (CryptoError, ValueError, TypeError):
        raise EcholiaError("export_locked") from None


def _sealed(plaintext: bytes, aad: bytes, key: bytes, dice: Dice) -> bytes:
    nonce = dice(NONCE_BYTES)
    return nonce + aead.seal(key, nonce, plaintext, aad)


def _opened(sealed: bytes, aad: bytes, key: bytes) -> bytes:
    plaintext = aead.unseal(key, sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad)
    if plaintext is None:
        raise EcholiaError("export_locked")
    return plaintext


def _locked(file_key: bytes, account: bytes, passphrase: str, cost: Cost, dice: Dice) -> dict[str, Any]:
    salt = dice(16)
    sealed = _sealed(file_key, _passphrase_aad(account), _stretched(passphrase, salt, cost), dice)
    return {"salt": salt, "ops": cost.ops, "mem": cost.mem, "sealed": sealed}


def _stretched(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    typed = unicodedata.normalize("NFC", passphrase).encode()
    return argon2id.kdf(32, typed, salt, opslimit=cost.ops, memlimit=cost.mem)


def _passphrase_aad(account: bytes) -> bytes:
    return b"echolia/1/export-passphrase" + account


def _device_key(box_secret: bytes, account: bytes) -> bytes:
    return derive(32, box_secret, account, b"echolia1/exp-dev")


def _device_aad(account: bytes) -> bytes:
    return b"echolia/1/export-device" + account
