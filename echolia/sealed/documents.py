"""The document of the keys that may be sealed to, signed by the server's identity; and who is believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from echolia.core.box_keys import can_be_sealed_to
from echolia.core.canonical import decode, encode
from echolia.core.errors import EcholiaError
from echolia.core.signing import PUBLIC_KEY_BYTES, verify
from echolia.sealed.suites import PUBLIC_BYTES

LABEL: Final = b"echolia/1/sealed-keys"
MOST_KEYS: Final = 4
STALE_MS: Final = 24 * 3600 * 1000
_MEMBERS: Final = {"v", "identity", "next", "keys"}
_KEY_MEMBERS: Final = {"id", "public", "from_ms", "until_ms"}


class SealingKey(NamedTuple):
    """A key that may be sealed to from `from_ms` until `until_ms`, Unix milliseconds."""

    id: int
    public: bytes
    from_ms: int
    until_ms: int


class Pins(NamedTuple):
    """The server's identity as it is believed, and the one that may follow it (Ed25519, 32 bytes each)."""

    identity: bytes
    next: bytes


class KeyDocument(NamedTuple):
    """What the server says: who it is, who it may be later, which keys to seal to, the first of all first."""

    pins: Pins
    keys: Sequence[SealingKey]


def document_of(pins: Pins, keys: Sequence[SealingKey]) -> bytes:
    """The bytes that are signed, after `LABEL`."""
    return encode(
        {"v": 1, "identity": pins.identity, "next": pins.next, "keys": [key._asdict() for key in keys]}
    )


def read_document(document: bytes, signature: bytes, pins: Pins | None, now_ms: int) -> KeyDocument:
    """The document, if it may be believed by somebody who has these pins, or none yet.

    Raises: `sealed_keys_invalid`, `unsupported_version`, `sealed_keys_untrusted`, `sealed_keys_stale`.
    """
    said = _parsed(document)
    if not verify(said.pins.identity, LABEL + document, signature):
        raise EcholiaError("sealed_keys_invalid", "the signature")
    if pins is not None and not _follows(said.pins, pins):
        raise EcholiaError("sealed_keys_untrusted")
    if all(now_ms - key.until_ms >= STALE_MS for key in said.keys):
        raise EcholiaError("sealed_keys_stale")
    return said


def _follows(said: Pins, pinned: Pins) -> bool:
    """Whether they are the same, or the identity moved: one that is pinned names no successor of its own."""
    return said == pinned or (said.identity == pinned.next and said.identity != pinned.identity)


def _parsed(document: bytes) -> KeyDocument:
    try:
        said = decode(document)
    except ValueError:
        said = None
    if not isinstance(said, dict) or said.keys() != _MEMBERS or type(said["v"]) is not int:
        raise EcholiaError("sealed_keys_invalid", "the document")
    if said["v"] != 1:
        raise EcholiaError("unsupported_version", "the key document's")
    identity, following, keys = said["identity"], said["next"], said["keys"]
    formed = _is_bytes(identity, PUBLIC_KEY_BYTES) and _is_bytes(following, PUBLIC_KEY_BYTES)
    if not formed or identity == following:
        raise EcholiaError("sealed_keys_invalid", "the identity")
    if not isinstance(keys, list) or not 1 <= len(keys) <= MOST_KEYS or not all(map(_is_key, keys)):
        raise EcholiaError("sealed_keys_invalid", "the keys")
    if len({key["id"] for key in keys}) != len(keys):
        raise EcholiaError("sealed_keys_invalid", "ids")
    return KeyDocument(Pins(identity, following), [SealingKey(**key) for key in keys])


def _is_key(key: Any) -> bool:
    if not isinstance(key, dict) or key.keys() != _KEY_MEMBERS:
        return False
    if not _is_bytes(key["public"], PUBLIC_BYTES) or not can_be_sealed_to(key["public"]):
        return False
    numbers = (key["id"], key["from_ms"], key["until_ms"])
    if any(type(number) is not int for number in numbers):
        return False
    id_, from_ms, until_ms = numbers
    return bool(0 <= id_ <= 255 and 0 <= from_ms < until_ms)


def _is_bytes(value: Any, size: int) -> bool:
    return isinstance(value, bytes) and len(value) == size
