"""What a run holds of each change: the change, or the leaf that stands for it (`spec/sync.md#pull`)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from echolia.core.errors import EcholiaError
from echolia.core.runs import RUN_HEADER_BYTES, RunHeader, change_end, change_ends

LEAF_BYTES: Final = 32
_LEAF: Final = 0
_CHANGE: Final = 1


class Part(NamedTuple):
    """Where a change (`whole`) or its leaf lies in a run's content."""

    at: int
    end: int
    whole: bool


def find_parts(content: bytes | memoryview, header: RunHeader, partial: bool) -> list[Part]:
    """The parts of a frame or, if `partial`, of what stands for it in a page.

    Raises `malformed_binary`, or what `change_ends` raises for a change.
    """
    if partial:
        return _of_partial(content, header)
    ends = change_ends(content, header)
    return [Part(at, end, True) for at, end in zip((RUN_HEADER_BYTES, *ends), ends, strict=False)]


def _of_partial(content: bytes | memoryview, header: RunHeader) -> list[Part]:
    found, at = [], RUN_HEADER_BYTES
    for counter in range(header.first, header.first + header.count):
        kind = content[at] if at < len(content) else None
        if kind not in (_LEAF, _CHANGE):
            raise EcholiaError("malformed_binary", "partial item is cut short or has an unknown part")
        at += 1
        end = at + LEAF_BYTES if kind == _LEAF else change_end(content, at, header.device, counter)
        found.append(Part(at, end, kind == _CHANGE))
        at = end
    if at != len(content):
        raise EcholiaError("malformed_binary", "partial item is cut short, or bytes follow its last part")
    return found


def leaf_of(content: bytes | memoryview, part: Part) -> bytes:
    """The hash of the change that a part holds or stands for."""
    there = content[part.at : part.end]
    return sha256(there).digest() if part.whole else bytes(there)


def with_leaves(content: bytes | memoryview, parts: Sequence[Part], kept: Sequence[bool]) -> bytes:
    """A partial item's content in which only the changes that are `kept` are whole."""
    pieces: list[bytes | memoryview] = [content[:RUN_HEADER_BYTES]]
    for part, whole in zip(parts, kept, strict=True):
        if whole and part.whole:
            pieces += (b"\x01", content[part.at : part.end])
        else:
            pieces += (b"\x00", leaf_of(content, part))
    return b"".join(pieces)
