"""Chunks behind each other in a stream, each after its length; the final one after a zero, to the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from echolia.core.errors import EcholiaError
from echolia.sealed.suites import TAG_BYTES

_LENGTHS: Final = ((1, 0x00), (2, 0x40), (4, 0x80), (8, 0xC0))
FINAL: Final = b"\0"
FINAL_AAD: Final = b"final"


def varint(number: int) -> bytes:
    """The shortest QUIC variable-length integer (RFC 9000, 16)."""
    for size, prefix in _LENGTHS:
        if number < 1 << (8 * size - 2):
            coded = bytearray(number.to_bytes(size, "big"))
            coded[0] |= prefix
            return bytes(coded)
    raise ValueError("too large")


def chunk(sealed: bytes) -> bytes:
    """A chunk that others follow."""
    return varint(len(sealed)) + sealed


def final(sealed: bytes) -> bytes:
    """The last chunk."""
    return FINAL + sealed


class ChunkReader:
    """Takes a stream's bytes as they come; gives its chunks. Nothing is remembered but the unfinished chunk.

    A chunk is `max_bytes` at most; longer or shorter than a tag is `sealed_invalid`.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._left = bytearray()
        self._final = False

    def feed(self, more: bytes) -> Iterator[bytes]:
        """Whole chunks that are not final. Raises: `sealed_invalid`."""
        self._left += more
        while not self._final and (found := _length(self._left)) is not None:
            size, begins = found
            if size == 0:
                self._final = True
                del self._left[:begins]
                break
            if not TAG_BYTES <= size <= self._max_bytes:
                raise EcholiaError("sealed_invalid", "a chunk's length")
            if len(self._left) < begins + size:
                break
            whole = bytes(self._left[begins : begins + size])
            del self._left[: begins + size]
            yield whole
        if self._final and len(self._left) > self._max_bytes:
            raise EcholiaError("sealed_invalid", "a chunk's length")

    def end(self) -> bytes:
        """The final chunk, once the stream has ended. Raises: `sealed_truncated`."""
        if not self._final or len(self._left) < TAG_BYTES:
            raise EcholiaError("sealed_truncated")
        return bytes(self._left)


def _length(raw: bytearray) -> tuple[int, int] | None:
    """A number at the beginning, and where it ends; None where more is to come."""
    if not raw:
        return None
    size = 1 << (raw[0] >> 6)
    if len(raw) < size:
        return None
    return int.from_bytes(raw[:size], "big") & ((1 << (8 * size - 2)) - 1), size
