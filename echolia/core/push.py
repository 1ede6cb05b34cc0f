"""The push body and the pull page as bytes (`spec/sync.md#push`, `spec/sync.md#pull`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final, NamedTuple

from echolia.core.errors import EcholiaError
from echolia.core.parts import find_parts
from echolia.core.positions import LogPosition
from echolia.core.runs import MAX_COUNTER, RUN_HEADER_BYTES, Change, RunHeader, read_change

MAX_RUNS: Final = 64
MAX_PUSH_BYTES: Final = 8 << 20
PUSH_TYPE: Final = "application/vnd.echolia.push"
PAGE_TYPE: Final = "application/vnd.echolia.page"
WHOLE: Final = 0
ELIDED: Final = 1
PARTIAL: Final = 2

_PUSH = Struct(">BH")
_PAGE = Struct(">BBQQ32sI")
_ITEM = Struct(">QQBI")
_LENGTH = Struct(">I")


class Item(NamedTuple):
    """One run of a page: `content` is the frame, or what stands for it (`form`)."""

    seq: int
    received_ms: int
    form: int
    content: bytes | memoryview


class Page(NamedTuple):
    """A pull's answer: items in log order, and the log's head when it was made."""

    more: bool
    head: LogPosition
    items: list[Item]


def _malformed(why: str) -> EcholiaError:
    return EcholiaError("malformed_binary", why)


def write_push(frames: Iterable[bytes]) -> bytes:
    """A push body of these frames."""
    parts = [part for frame in frames for part in (_LENGTH.pack(len(frame)), frame)]
    return b"".join((_PUSH.pack(1, len(parts) // 2), *parts))


def read_push(body: bytes) -> list[memoryview]:
    """The frames of a push body, unchecked; raises `malformed_binary` or `unsupported_version`."""
    if len(body) < _PUSH.size:
        raise _malformed("push is cut short")
    version, count = _PUSH.unpack_from(body)
    if version != 1:
        raise EcholiaError("unsupported_version", "push version must be 1")
    if not 1 <= count <= MAX_RUNS:
        raise _malformed(f"a push holds 1 to {MAX_RUNS} runs")
    frames, at, view = [], _PUSH.size, memoryview(body)
    for _ in range(count):
        if at + 4 > len(body):
            raise _malformed("push is cut short")
        end = at + 4 + _LENGTH.unpack_from(body, at)[0]
        frames.append(view[at + 4 : end])
        at = end
    if at != len(body):
        raise _malformed("push lengths do not add up")
    return frames


def page_head(more: bool, head: LogPosition, count: int) -> bytes:
    """What stands before a page's items."""
    return _PAGE.pack(1, more, head.epoch, head.seq, head.log, count)


def item_head(seq: int, received_ms: int, form: int, length: int) -> bytes:
    """What stands before an item's content."""
    return _ITEM.pack(seq, received_ms, form, length)


def read_page(body: bytes) -> Page:
    """A page from its bytes, contents unchecked; raises `malformed_binary` or `unsupported_version`."""
    if len(body) < _PAGE.size:
        raise _malformed("page is cut short")
    version, more, epoch, seq, log, count = _PAGE.unpack_from(body)
    if version != 1:
        raise EcholiaError("unsupported_version", "page version must be 1")
    if more > 1 or max(epoch, seq) > MAX_COUNTER:
        raise _malformed("page head is out of range")
    items, at, view = [], _PAGE.size, memoryview(body)
    for _ in range(count):
        if at + _ITEM.size > len(body):
            raise _malformed("page is cut short")
        item_seq, received_ms, form, length = _ITEM.unpack_from(body, at)
        at += _ITEM.size
        if form > PARTIAL or length < RUN_HEADER_BYTES or max(item_seq, received_ms) > MAX_COUNTER:
            raise _malformed("item has an unknown form, is too short or is out of range")
        items.append(Item(item_seq, received_ms, form, view[at : at + length]))
        at += length
    if at != len(body):
        raise _malformed("page lengths do not add up")
    return Page(bool(more), LogPosition(epoch, seq, log), items)


def read_parts(content: bytes, header: RunHeader) -> Iterator[bytes | Change]:
    """A partial item's changes and, for those left out, leaves (32 bytes).

    Raises `malformed_binary`, or what `change_end` raises for a change.
    """
    for counter, part in enumerate(find_parts(content, header, partial=True), header.first):
        raw = content[part.at : part.end]
        yield read_change(raw, counter) if part.whole else bytes(raw)
