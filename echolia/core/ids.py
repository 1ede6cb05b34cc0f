"""Ids and how bytes are written in JSON (`spec/README.md`, `spec/keys.md#ids`)."""

from __future__ import annotations

import base64
import binascii
from hashlib import sha256
from typing import Final

from echolia.core.errors import EcholiaError

ID_BYTES: Final = 16


def b64(raw: bytes) -> str:
    """Bytes as base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def unb64(text: str, length: int | None = None) -> bytes:
    """The bytes of base64url text without padding; `length`, if given, is what they must have.

    Raises `invalid_request`. Only the one canonical spelling is taken, so that ids compare as text too.
    """
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise EcholiaError("invalid_request", "not base64url") from None
    if b64(raw) != text or (length is not None and len(raw) != length):
        raise EcholiaError("invalid_request", "not base64url of the right length")
    return raw


def device_id(sign: bytes, box: bytes) -> bytes:
    """The id (16 bytes) of the device with these public keys (32 bytes each)."""
    return sha256(b"echolia/1/device" + sign + box).digest()[:ID_BYTES]


def account_id(genesis_entry: bytes) -> bytes:
    """The id (16 bytes) of the account that this genesis entry starts."""
    return sha256(b"echolia/1/account" + genesis_entry).digest()[:ID_BYTES]
