"""Where one stands in an account's log: epoch, position, and the hash that proves it (`spec/sync.md#log`)."""

from __future__ import annotations

from hashlib import sha256
from struct import Struct
from typing import NamedTuple

_LINK = Struct(">QI16sQ32sQ")


class LogPosition(NamedTuple):
    """`seq` is the last position that is included; `log` (32 bytes) the log's chain hash there."""

    epoch: int
    seq: int
    log: bytes


NOTHING_SEEN = LogPosition(0, 0, bytes(32))


def log_start(account: bytes, epoch: int) -> LogPosition:
    """The empty log of an account in an epoch."""
    return LogPosition(epoch, 0, sha256(b"echolia/1/log" + account + epoch.to_bytes(8, "big")).digest())


def log_base(account: bytes, epoch: int, base: LogPosition) -> LogPosition:
    """Where the log of `epoch` begins that goes on from a checkpoint of another epoch (`base`)."""
    start = account + epoch.to_bytes(8, "big") + base.seq.to_bytes(8, "big") + base.log
    return LogPosition(epoch, base.seq, sha256(b"echolia/1/log-base" + start).digest())


def log_after(
    before: LogPosition, count: int, device: bytes, last: int, chain: bytes, received_ms: int
) -> LogPosition:
    """The position after one more run, of `count` changes, ending at (`device`, `last`) with `chain`."""
    link = _LINK.pack(before.seq + 1, count, device, last, chain, received_ms)
    return LogPosition(before.epoch, before.seq + count, sha256(before.log + link).digest())
