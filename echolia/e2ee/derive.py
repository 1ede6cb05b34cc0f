"""Keyed BLAKE2b, the one way secrets are derived from secrets (`spec/README.md#conventions`)."""

from __future__ import annotations

from hashlib import blake2b


def derive(length: int, key: bytes, data: bytes, person: bytes) -> bytes:
    """`length` bytes (1 to 64) bound to a key (at most 64 bytes), the data and a purpose (at most 16)."""
    return blake2b(data, digest_size=length, key=key, person=person).digest()
