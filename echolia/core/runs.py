"""Runs and changes as bytes: read, checked, chained, written (`spec/sync.md#run`).

This is the hot path of both ends: a run is walked once, hashed as it lies, and never rebuilt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from struct import Struct
from struct import error as StructError  # noqa: N812 — it is a class
from typing import Final, NamedTuple

from echolia.core.errors import EcholiaError
from echolia.core.messages import run_message
from echolia.core.padding import is_padme
from echolia.core.positions import LogPosition

VERSION: Final = 1
SUITE: Final = 1
STATE: Final = 1
DELTA: Final = 2
MAX_CHANGES: Final = 1000
MAX_FRAME_BYTES: Final = 4 << 20
MAX_COUNTER: Final = 2**53 - 1

_HEAD = Struct(">BB16sQI32sQQ32s64s")
_FIXED = Struct(">BI16s16sB")
_CONTEXT = Struct(">16sQ")
_LENGTH = Struct(">I")
RUN_HEADER_BYTES: Final = _HEAD.size
_FIXED_BYTES: Final = _FIXED.size
_BEFORE_BODY: Final = _FIXED_BYTES + _LENGTH.size
_unpack_fixed = _FIXED.unpack_from
_unpack_length = _LENGTH.unpack_from
_KINDS: Final = (STATE, DELTA)

# Bodies come in few lengths (that is what PADMÉ is for), so remember those that were found right.
_GOOD_LENGTHS: Final[set[int]] = set()


class RunHeader(NamedTuple):
    """The clear part of a run; `prev` is the device's chain hash before `first`."""

    suite: int
    device: bytes
    first: int
    count: int  # type: ignore[assignment]  # the spec's word; the tuple's method of that name is not used
    prev: bytes
    seen: LogPosition
    signature: bytes

    @property
    def last(self) -> int:
        """Counter of the last change."""
        return self.first + self.count - 1

    def message(self, account: bytes, chain: bytes) -> bytes:
        """What `signature` covers, given the chain hash after the last change."""
        return run_message(self.suite, account, self.device, self.last, chain, self.seen)

    def pack(self) -> bytes:
        """The header's 174 bytes."""
        seen = self.seen
        return _HEAD.pack(
            VERSION,
            self.suite,
            self.device,
            self.first,
            self.count,
            self.prev,
            *seen[:2],
            seen.log,
            self.signature,
        )


class Change(NamedTuple):
    """One change of a run, with the exact header bytes its body is bound to."""

    counter: int
    kind: int  # STATE or DELTA
    generation: int
    object: bytes
    stream: bytes
    context: dict[bytes, int]
    header: bytes
    body: bytes


class RunInvalid(EcholiaError):
    """`run_invalid` at the change with counter `at` (0: the run's header)."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__("run_invalid", f"at {at}: {why}")
        self.at = at


def chain_start(account: bytes, device: bytes) -> bytes:
    """A device's chain hash before its first change."""
    return sha256(b"echolia/1/chain" + account + device).digest()


def read_header(frame: bytes | memoryview) -> RunHeader:
    """The run header at the start of a frame; raises `run_invalid` or `unsupported_version`."""
    if len(frame) < RUN_HEADER_BYTES:
        raise RunInvalid(0, "cut short")
    version, suite, device, first, count, prev, epoch, seq, log, signature = _HEAD.unpack_from(frame)
    if version != VERSION or suite != SUITE:
        raise EcholiaError("unsupported_version", "run version and suite must be 1")
    if not 1 <= count <= MAX_CHANGES:
        raise RunInvalid(0, f"count must be 1 to {MAX_CHANGES}")
    if not 1 <= first <= MAX_COUNTER - MAX_CHANGES:
        raise RunInvalid(0, "first is out of range")
    if max(epoch, seq) > MAX_COUNTER:
        raise RunInvalid(0, "seen is out of range")
    return RunHeader(suite, device, first, count, prev, LogPosition(epoch, seq, log), signature)


def change_ends(frame: bytes | memoryview, header: RunHeader) -> list[int]:
    """Where each change of a frame ends; checks every byte outside the bodies. Raises `run_invalid`."""
    if len(frame) > MAX_FRAME_BYTES:
        raise RunInvalid(0, "frame is too long")
    ends: list[int] = []
    at = RUN_HEADER_BYTES
    for counter in range(header.first, header.first + header.count):
        at = change_end(frame, at, header.device, counter)
        ends.append(at)
    if at != len(frame):
        raise RunInvalid(header.last, "bytes after the last change")
    return ends


def change_end(frame: bytes | memoryview, at: int, device: bytes, counter: int) -> int:
    """Where the change that starts at byte `at` ends; checks every byte outside its body."""
    try:
        kind, generation, _, _, entries = _unpack_fixed(frame, at)
        if kind not in _KINDS:
            raise EcholiaError("unsupported_version", f"at {counter}: class must be 1 or 2")
        if not generation:
            raise RunInvalid(counter, "generation starts at 1")
        if entries:
            _check_context(frame, at + _FIXED_BYTES, entries, device, counter)
            at += 24 * entries
        (length,) = _unpack_length(frame, at + _FIXED_BYTES)
    except StructError:
        raise RunInvalid(counter, "cut short") from None
    if length not in _GOOD_LENGTHS:
        if not is_padme(length):
            raise RunInvalid(counter, "body length is not PADMÉ between 256 and 1048576")
        _GOOD_LENGTHS.add(length)
    at += _BEFORE_BODY + length
    if at > len(frame):
        raise RunInvalid(counter, "cut short")
    return int(at)


def _check_context(frame: bytes | memoryview, at: int, entries: int, device: bytes, counter: int) -> None:
    before = b""
    for offset in range(at, at + 24 * entries, 24):
        other, seen = _CONTEXT.unpack_from(frame, offset)
        if other <= before or other == device or not 1 <= seen <= MAX_COUNTER:
            raise RunInvalid(
                counter, "context is not sorted, names its writer, or has a counter out of range"
            )
        before = other


def chains(frame: bytes | memoryview, header: RunHeader, ends: Sequence[int]) -> list[bytes]:
    """The device's chain hash after each change of a frame."""
    view, chain, at, found = memoryview(frame), header.prev, RUN_HEADER_BYTES, []
    for end in ends:
        chain = sha256(chain + sha256(view[at:end]).digest()).digest()
        found.append(chain)
        at = end
    return found


def leaves(frame: bytes | memoryview, ends: Sequence[int]) -> list[bytes]:
    """The hash of each change of a frame."""
    view, starts = memoryview(frame), [RUN_HEADER_BYTES, *ends]
    return [sha256(view[at:end]).digest() for at, end in zip(starts, ends, strict=False)]


def leaf(change: Change) -> bytes:
    """The hash of one change."""
    return sha256(change.header + change.body).digest()


def fold(prev: bytes, leaf_hashes: Sequence[bytes]) -> bytes:
    """The chain hash after these leaves."""
    for leaf in leaf_hashes:
        prev = sha256(prev + leaf).digest()
    return prev


def stream_at(frame: bytes | memoryview, at: int) -> bytes:
    """The stream of the change that starts at byte `at`."""
    return bytes(frame[at + 21 : at + 37])


def object_at(frame: bytes | memoryview, at: int) -> bytes:
    """The object of the change that starts at byte `at`."""
    return bytes(frame[at + 5 : at + 21])


def clear_part(frame: bytes | memoryview, at: int) -> tuple[int, int, bytes, bytes]:
    """Of the change that starts at byte `at`: class, generation, object and stream."""
    kind, generation, object_, stream, _ = _unpack_fixed(frame, at)
    return kind, generation, object_, stream


def without_first(
    frame: bytes | memoryview, header: RunHeader, ends: Sequence[int], known: int, prev: bytes
) -> tuple[RunHeader, bytes]:
    """The run less its first `known` changes, after which the chain hash is `prev`; still signed."""
    rest = header._replace(first=header.first + known, count=header.count - known, prev=prev)
    return rest, rest.pack() + bytes(frame[ends[known - 1] :])


def read_mention(frame: bytes | memoryview, at: int) -> tuple[int, bytes, bytes]:
    """Class, object and raw context of the change that starts at byte `at`, which was checked."""
    kind, _, object_, _, entries = _unpack_fixed(frame, at)
    start = at + _FIXED_BYTES
    return kind, object_, bytes(frame[start : start + 24 * entries])


def read_context(raw: bytes) -> dict[bytes, int]:
    """The version vector in a change's raw context."""
    return dict(_CONTEXT.iter_unpack(raw))


def read_change(raw: bytes | memoryview, counter: int) -> Change:
    """One change from its exact bytes, which `change_ends` has checked."""
    kind, generation, object_, stream, entries = _FIXED.unpack_from(raw)
    split = _BEFORE_BODY + 24 * entries
    pairs = (_CONTEXT.unpack_from(raw, _FIXED_BYTES + 24 * k) for k in range(entries))
    return Change(
        counter, kind, generation, object_, stream, dict(pairs), bytes(raw[:split]), bytes(raw[split:])
    )  # fmt: skip


def read_changes(frame: bytes | memoryview, header: RunHeader, ends: Sequence[int]) -> Iterator[Change]:
    """The changes of a frame, in order."""
    view, at = memoryview(frame), RUN_HEADER_BYTES
    for counter, end in enumerate(ends, header.first):
        yield read_change(view[at:end], counter)
        at = end


def change_header(
    kind: int, generation: int, object_: bytes, stream: bytes, context: dict[bytes, int], body_bytes: int
) -> bytes:
    """A change's header: all of it but the body, whose length is `body_bytes`."""
    head = _FIXED.pack(kind, generation, object_, stream, len(context))
    pairs = b"".join(_CONTEXT.pack(device, context[device]) for device in sorted(context))
    return head + pairs + _LENGTH.pack(body_bytes)
