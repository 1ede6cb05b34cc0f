"""Compaction: when a checkpoint may become the log's base, and how what it does not count is let go of.

    kept ──undo window, floor──▶ base moves ──runs in the log's order, a few at a time──▶ done

The base moves first, in one step: from then on no cursor before it is answered, so runs may change. Whatever
ends it in between, the next one goes on where it stopped (`spec/checkpoints.md#compaction`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import structlog

from echolia.core.errors import EcholiaError
from echolia.core.parts import find_parts, with_leaves
from echolia.sync import history
from echolia.sync.checkpoints import found_live, is_void
from echolia.sync.history import Acked, StoredCheckpoint, base_at
from echolia.sync.open_log import Accounts, OpenAccount, OpenLog, open_log
from echolia.sync.store import StoredRun
from echolia.sync.walk import LiveMap, Walking, live_map
from echolia.web.context import Devices, Standing

DAY_MS: Final = 86_400_000


class Patience(NamedTuple):
    """How long a checkpoint is kept before it may be compacted to, and a silent device waited for."""

    undo_ms: int
    parked_ms: int


def may_compact(
    kept: StoredCheckpoint,
    standing: Standing,
    acked: Mapping[bytes, Acked],
    epoch: int,
    now_ms: int,
    patience: Patience,
) -> bool:
    """Whether the log may be compacted to a checkpoint: old enough, not void, and not beyond the floor."""
    if now_ms - kept.stored_ms < patience.undo_ms or is_void(kept, standing):
        return False
    seq = kept.checkpoint.position.seq
    for device in standing.keys.keys() - standing.revoked.keys():
        ack = acked.get(device, Acked(0, 0, 0))
        is_parked = now_ms - max(kept.stored_ms, ack.acked_ms) >= patience.parked_ms
        if not is_parked and (ack.epoch != epoch or ack.seq < seq):
            return False
    return True


@dataclass(frozen=True, slots=True)
class Compaction:
    """Compacts logs in the background, a task an account at most; `clock_ms` is the server's time."""

    accounts: Accounts
    devices: Devices
    clock_ms: Callable[[], int]
    patience: Patience
    walking: Walking
    _running: dict[bytes, asyncio.Task[None]] = field(default_factory=dict)

    def consider(self, account: bytes, log: OpenLog) -> None:
        """Something happened that may let the log be compacted: look, if a checkpoint is old enough."""
        ripe_ms = self.clock_ms() - self.patience.undo_ms
        if account not in self._running and (log.base.unfinished or log.kept_before(ripe_ms)):
            self._running[account] = task = asyncio.create_task(self._run(account))
            task.add_done_callback(lambda _: self._running.pop(account, None))

    def stop(self, account: bytes, device: bytes | None) -> None:
        """The account is about to end (`device` is None): do not keep it waiting."""
        if device is None and (task := self._running.get(account)) is not None:
            task.cancel()

    async def settled(self) -> None:
        """Wait until nothing is being compacted."""
        while self._running:
            await asyncio.wait(set(self._running.values()))

    async def close(self) -> None:
        """Stop; what is not done is gone on with when the account is next considered."""
        for task in self._running.values():
            task.cancel()
        await self.settled()

    async def _run(self, account: bytes) -> None:
        try:
            async with self.accounts.lease(account) as db:
                log = await open_log(db)
                try:
                    await self._compact(db, log)
                except EcholiaError:
                    # What was being done may be done nevertheless.
                    await log.look_again(db)
                    raise
        except EcholiaError as error:
            # Nobody waits for this; whatever is done is done, and the next acknowledgement tries again.
            structlog.get_logger().warning("compaction_failed", code=error.code)

    async def _compact(self, db: OpenAccount, log: OpenLog) -> None:
        """Go on where it was left, then to the newest checkpoint that may be compacted to."""
        await self._finish(db, log, None)
        for kept in await self._candidates(db, log):
            if (live := await self._begin(db, log, kept)) is not None:
                await self._finish(db, log, live)
                return

    async def _candidates(self, db: OpenAccount, log: OpenLog) -> list[StoredCheckpoint]:
        standing, acked = await self.devices.standing(log.state.account), await history.acknowledged(db)
        epoch, now_ms = log.state.position.epoch, self.clock_ms()
        return [
            kept
            for kept in await history.kept_checkpoints(db)
            if kept.checkpoint.position.seq > log.base.position.seq
            and may_compact(kept, standing, acked, epoch, now_ms, self.patience)
        ]

    async def _begin(self, db: OpenAccount, log: OpenLog, kept: StoredCheckpoint) -> LiveMap | None:
        """Move the base to a checkpoint that still holds, and tell what is live there."""
        account, point = log.state.account, kept.checkpoint
        live = await found_live(db, log, point, await self.devices.standing(account), self.walking)
        async with log.moving_base:
            if live is None:
                # It held when it was kept: whatever it was, nothing can be compacted to it any more.
                await history.forget_checkpoint(db, point.position.seq)
                log.stored_ms.pop(point.position.seq, None)
            if live is None or is_void(kept, await self.devices.standing(account)):
                return None
            log.rebase(base_at(account, log.state.position.epoch, point))
            await history.move_base(db, point.position.seq)
            _, log.base = await history.load(db)
        return live

    async def _finish(self, db: OpenAccount, log: OpenLog, live: LiveMap | None) -> None:
        """Let go of what is not live up to the base, from where it was left."""
        if not log.base.unfinished:
            return
        seq = log.base.position.seq
        if live is None:
            standing = await self.devices.standing(log.state.account)
            after = log.base.compacted_to
            async with self.walking.at_once:
                writers = log.state.heads.keys()
                live = await live_map(db, seq, standing.revoked, writers, self.walking, after)
        while runs := await history.oldest_first(db, log.base.compacted_to, seq, self.walking.step_bytes):
            step = await asyncio.to_thread(_judged, live, runs)
            await self._let_go(db, log, step, runs[-1].seq)
        await self._let_go(db, log, _Step([], {}, 0), seq)
        await db.reclaim()

    async def _let_go(self, db: OpenAccount, log: OpenLog, step: _Step, compacted_to: int) -> None:
        await history.let_go(db, step.gone, step.shortened, compacted_to, step.dropped_bytes)
        dropped_bytes = log.base.dropped_bytes + step.dropped_bytes
        log.base = log.base._replace(compacted_to=compacted_to, dropped_bytes=dropped_bytes)


class _Step(NamedTuple):
    """What becomes of some runs: those that go, the contents of those that are shortened, bytes won."""

    gone: list[int]
    shortened: dict[int, bytes]
    dropped_bytes: int


def _judged(live: LiveMap, runs: Sequence[StoredRun]) -> _Step:
    gone, shortened, dropped_bytes = [], {}, 0
    for run in runs:
        kept = live.of(run)
        parts = find_parts(run.frame, run.header, bool(run.partial))
        if not any(kept):
            gone.append(run.seq)
            dropped_bytes += len(run.frame)
        elif any(part.whole and not is_live for part, is_live in zip(parts, kept, strict=True)):
            shortened[run.seq] = content = with_leaves(run.frame, parts, kept)
            dropped_bytes += len(run.frame) - len(content)
    return _Step(gone, shortened, dropped_bytes)
