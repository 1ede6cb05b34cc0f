"""Walks over a whole log, a few runs at a time: which changes are live, and the root that commits to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from echolia.core.checkpoints import ChainHead, LiveChange, LiveRoot
from echolia.core.liveness import Liveness
from echolia.core.parts import find_parts, leaf_of
from echolia.storage.engine import Batches
from echolia.sync import history
from echolia.sync.store import StoredRun

AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class Walking:
    """How much walks may take: logs at once, of each the bytes of frames that are in memory, and
    what liveness remembers of objects.
    """

    at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    step_bytes: int = 1 << 20
    most_kept: int = 1_000_000


class LiveMap:
    """Which positions up to `upto` hold a live change, a bit each."""

    def __init__(self, upto: int) -> None:
        self.upto = upto
        self._bits = bytearray(upto // 8 + 1)

    def mark(self, seq: int, live: Sequence[bool]) -> None:
        """The changes from position `seq` on are live, or were not found to be."""
        for place, is_live in enumerate(live, seq):
            if is_live:
                self._bits[place >> 3] |= 1 << (place & 7)

    def of(self, run: StoredRun) -> list[bool]:
        """Of each change of a run whether it is live."""
        return [
            bool(self._bits[place >> 3] >> (place & 7) & 1)
            for place in range(run.seq, run.seq + run.header.count)
        ]


class Summary(NamedTuple):
    """What a log holds up to a position, as a checkpoint says it."""

    heads: Mapping[bytes, ChainHead]
    count: int  # type: ignore[assignment]  # the spec's word; the tuple's method of that name is not used
    live: bytes


class _TooMany(Exception):
    """Liveness remembers more than is allowed."""


async def live_map(
    db: Batches,
    upto: int,
    cutoffs: Mapping[bytes, int],
    devices: Collection[bytes],
    walking: Walking,
    after: int = 0,
) -> LiveMap:
    """What is live at `upto`, of the runs that begin after `after`; `devices` wrote them.

    A log of more objects than can be remembered is walked several times, each time for some of the objects.
    """
    shares = 1
    while True:
        try:
            found = LiveMap(upto)
            for share in range(shares):
                liveness = Liveness(cutoffs, devices, _share(share, shares))
                await _mark(db, found, liveness, walking, after)
            return found
        except _TooMany:
            shares *= 2


def _share(share: int, shares: int) -> Callable[[bytes], bool] | None:
    # Objects' ids are the devices' choice: by their own hash, nobody can have them all in one share.
    return None if shares == 1 else lambda object_: hash(object_) % shares == share


async def _mark(db: Batches, found: LiveMap, liveness: Liveness, walking: Walking, after: int) -> None:
    before = found.upto + 1
    while runs := await history.newest_first(db, before, walking.step_bytes, after):
        await asyncio.to_thread(_mark_runs, found, liveness, runs)
        if liveness.kept > walking.most_kept:
            raise _TooMany
        before = runs[-1].seq


def _mark_runs(found: LiveMap, liveness: Liveness, runs: Sequence[StoredRun]) -> None:
    for run in runs:
        header = run.header
        parts = find_parts(run.frame, header, bool(run.partial))
        found.mark(run.seq, liveness.walk(run.frame, header, parts))


async def summary(
    db: Batches, account: bytes, found: LiveMap, devices: Collection[bytes], walking: Walking
) -> Summary:
    """The newest change of each device that is there, count and root of what is live: device by device."""
    heads, root = {}, LiveRoot(account, found.upto)
    for device in sorted(devices):
        async for runs in _in_order(db, device, found.upto, walking.step_bytes):
            heads[device] = ChainHead(runs[-1].header.last, runs[-1].chain)
            await asyncio.to_thread(_add_runs, root, found, runs)
    return Summary(heads, root.count, root.digest())


async def _in_order(db: Batches, device: bytes, upto: int, step_bytes: int) -> AsyncIterator[list[StoredRun]]:
    after = 0
    while runs := await history.of_device(db, device, after, upto, step_bytes):
        yield runs
        after = runs[-1].header.last


def _add_runs(root: LiveRoot, found: LiveMap, runs: Sequence[StoredRun]) -> None:
    for run in runs:
        for change in _live_changes(found, run):
            root.add(change)


def _live_changes(found: LiveMap, run: StoredRun) -> Iterator[LiveChange]:
    header = run.header
    parts = find_parts(run.frame, header, bool(run.partial))
    for counter, (part, is_live) in enumerate(zip(parts, found.of(run), strict=True), header.first):
        if is_live:
            yield LiveChange(header.device, counter, leaf_of(run.frame, part))
