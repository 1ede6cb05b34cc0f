"""A clock that only ever moves on, and the rule that keeps a wrong one from doing harm.

Last-writer-wins orders registers by a hybrid logical clock: (wall milliseconds, logical). A device's clock
may be years off, so nobody believes a claim later than the moment the server logged it: spec/merge.md#clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

CLAMPED_LOGICAL: Final = 0xFFFF  # above every logical that `tick` makes
MAX_WALL_MS: Final = 2**53 - 1
_LATEST_NOW_MS: Final = 2**48 - 1  # far below MAX_WALL_MS: a broken clock leaves room to count on


class Stamp(NamedTuple):
    """A reading of the clock: `wall_ms` since 1970 and `logical`, 0 … 0xFFFF."""

    wall_ms: int
    logical: int


class Key(NamedTuple):
    """The total order of last-writer-wins: a stamp, then the change's dot, so no two writes are equal."""

    wall_ms: int
    logical: int
    device: bytes
    counter: int

    @property
    def stamp(self) -> Stamp:
        """The part that a device's clock learns from."""
        return Stamp(self.wall_ms, self.logical)


START: Final = Stamp(0, 0)


def tick(last: Stamp, now_ms: int) -> Stamp:
    """The next stamp after `last`, near `now_ms`; strictly greater than `last`, whatever `now_ms` says."""
    now_ms = min(max(now_ms, 0), _LATEST_NOW_MS)
    if now_ms > last.wall_ms:
        return Stamp(now_ms, 0)
    if last.logical + 1 < CLAMPED_LOGICAL:
        return Stamp(last.wall_ms, last.logical + 1)
    return Stamp(last.wall_ms + 1, 0)


def clamp(key: Key, received_ms: int | None) -> Key:
    """The key as every device reads it, given when the server logged its dot; `None`: not logged yet."""
    if received_ms is None or key.wall_ms <= received_ms:
        return key
    return Key(received_ms, CLAMPED_LOGICAL, key.device, key.counter)


def settled(seen: Stamp, pending: Iterable[Stamp]) -> Stamp:
    """What a device's clock falls back to once a push is acknowledged.

    `seen` is the greatest clamped stamp it knows, `pending` the claims it has not had acknowledged: those
    must stay in the past of its next write, or a later edit of its own could lose to an earlier one.
    """
    return max(seen, *pending, START)
