"""PADMÉ lengths: few sizes, at most 12% waste (`spec/sync.md#change`; Nikitin et al., PURBs, 2019)."""

from __future__ import annotations

from typing import Final

FLOOR_BYTES: Final = 256
CEILING_BYTES: Final = 1 << 20


def padme(length: int) -> int:
    """The least PADMÉ length that is at least `length` and at least 256."""
    if length <= FLOOR_BYTES:
        return FLOOR_BYTES
    mask = _mask(length)
    return (length + mask) & ~mask


def is_padme(length: int) -> bool:
    """Whether a body may have this length: PADMÉ, from 256 bytes to 1 MiB."""
    return FLOOR_BYTES <= length <= CEILING_BYTES and not length & _mask(length)


def _mask(length: int) -> int:
    exponent = length.bit_length() - 1
    return (1 << (exponent - exponent.bit_length())) - 1
