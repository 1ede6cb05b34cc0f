"""Sealing and opening a change's body (`spec/envelope.md`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hmac import compare_digest

from echolia.core.errors import EcholiaError
from echolia.core.padding import CEILING_BYTES, FLOOR_BYTES, padme
from echolia.core.runs import SUITE, Change, change_header
from echolia.e2ee import aead
from echolia.e2ee.aead import NONCE_BYTES
from echolia.e2ee.derive import derive
from echolia.e2ee.keys import AccountSecrets
from echolia.e2ee.secret import Secret, hide

WRAPPED_BYTES = 72
_COMMITMENT_AT = WRAPPED_BYTES + NONCE_BYTES
_CIPHERTEXT_AT = _COMMITMENT_AT + 32
OVERHEAD_BYTES = _CIPHERTEXT_AT + 16 + 1
MAX_PLAINTEXT_BYTES = CEILING_BYTES - OVERHEAD_BYTES

Dice = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """An object's key (32 bytes), and the form of it that a generation's changes carry (72 bytes)."""

    generation: int
    wrapped: bytes
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Hide the key."""
        hide(self, "key")


@dataclass(frozen=True, slots=True)
class Draft:
    """A change before it is sealed; `plaintext` is an object state (`spec/merge.md`)."""

    counter: int
    kind: int
    object: bytes
    stream: bytes
    context: dict[bytes, int]
    plaintext: bytes = field(repr=False)


def new_object_key(secrets: AccountSecrets, object_: bytes, dice: Dice) -> ObjectKey:
    """A fresh key for an object, wrapped by the current generation."""
    return _wrap(secrets, object_, Secret(dice(32)), dice)


def rewrap(secrets: AccountSecrets, object_: bytes, known: ObjectKey, dice: Dice) -> ObjectKey:
    """The same key under the current generation."""
    if known.generation == secrets.generation:
        return known
    return _wrap(secrets, object_, known.key, dice)


def _wrap(secrets: AccountSecrets, object_: bytes, key: bytes, dice: Dice) -> ObjectKey:
    generation, nonce = secrets.generation, dice(NONCE_BYTES)
    aad = _wrap_aad(secrets.account, object_, generation)
    return ObjectKey(generation, nonce + aead.seal(secrets.keys[generation], nonce, key, aad), key)


def unwrap(secrets: AccountSecrets, object_: bytes, generation: int, wrapped: bytes) -> ObjectKey:
    """The object key inside; raises `key_missing` or `body_unreadable`."""
    account_key = secrets.keys.get(generation)
    if account_key is None:
        raise EcholiaError("key_missing", f"generation {generation}")
    aad = _wrap_aad(secrets.account, object_, generation)
    key = Secret(_open(wrapped[NONCE_BYTES:], aad, wrapped[:NONCE_BYTES], account_key))
    if len(key) != 32:
        raise EcholiaError("body_unreadable")
    return ObjectKey(generation, wrapped, key)


def seal(secrets: AccountSecrets, device: bytes, draft: Draft, key: ObjectKey, dice: Dice) -> bytes:
    """The change's exact bytes: header and sealed body. Raises `body_too_large` beyond 1 MiB."""
    if len(draft.plaintext) > MAX_PLAINTEXT_BYTES:
        raise EcholiaError("body_too_large", f"an object's change holds at most {MAX_PLAINTEXT_BYTES} bytes")
    length = padme(OVERHEAD_BYTES + len(draft.plaintext))
    header = change_header(draft.kind, key.generation, draft.object, draft.stream, draft.context, length)
    nonce = dice(NONCE_BYTES)
    subkey, commitment = _subkey(key.key, nonce)
    padded = draft.plaintext + b"\x80" + bytes(length - OVERHEAD_BYTES - len(draft.plaintext))
    aad = _aad(secrets.account, device, draft.counter, header)
    return b"".join((header, key.wrapped, nonce, commitment, aead.seal(subkey, nonce, padded, aad)))


def open_change(secrets: AccountSecrets, device: bytes, change: Change) -> tuple[bytes, ObjectKey]:
    """The plaintext of a change that `device` wrote, and its object's key.

    Raises `key_missing` for a generation not known yet, `body_unreadable` for everything else.
    """
    body = change.body
    if len(body) < FLOOR_BYTES:
        raise EcholiaError("body_unreadable")
    key = unwrap(secrets, change.object, change.generation, body[:WRAPPED_BYTES])
    nonce = body[WRAPPED_BYTES:_COMMITMENT_AT]
    subkey, commitment = _subkey(key.key, nonce)
    if not compare_digest(commitment, body[_COMMITMENT_AT:_CIPHERTEXT_AT]):
        raise EcholiaError("body_unreadable")
    aad = _aad(secrets.account, device, change.counter, change.header)
    padded = _open(body[_CIPHERTEXT_AT:], aad, nonce, subkey)
    plaintext = padded.rstrip(b"\0")
    if plaintext[-1:] != b"\x80":
        raise EcholiaError("body_unreadable")
    return plaintext[:-1], key


def _open(sealed: bytes, aad: bytes, nonce: bytes, key: bytes) -> bytes:
    plaintext = aead.unseal(key, nonce, sealed, aad)
    if plaintext is None:
        raise EcholiaError("body_unreadable")
    return plaintext


def _subkey(object_key: bytes, nonce: bytes) -> tuple[bytes, bytes]:
    derived = derive(64, object_key, nonce, b"echolia1/subkey")
    return Secret(derived[:32]), derived[32:]


def _wrap_aad(account: bytes, object_: bytes, generation: int) -> bytes:
    return b"echolia/1/object-key" + account + object_ + generation.to_bytes(4, "big")


def _aad(account: bytes, device: bytes, counter: int, header: bytes) -> bytes:
    place = bytes((SUITE,)) + account + device + counter.to_bytes(8, "big")
    return b"echolia/1/change" + place + header
