"""What a device can ask about checkpoints: put one, get those there are (`spec/checkpoints.md`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from echolia.core import checkpoints
from echolia.core.checkpoints import ChainHead, Checkpoint, checkpoint_message
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.core.signing import verify
from echolia.sync import history
from echolia.sync.history import StoredCheckpoint
from echolia.sync.open_log import Accounts, Hears, OpenAccount, OpenLog, nobody_hears, open_log
from echolia.sync.walk import LiveMap, Walking, live_map, summary
from echolia.web.context import Caller, Devices, Standing


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints of accounts; `clock_ms` is the server's time, `kept` is told when one was kept."""

    accounts: Accounts
    devices: Devices
    clock_ms: Callable[[], int]
    walking: Walking
    kept: Hears = nobody_hears

    async def put(self, caller: Caller, body: bytes, signature: bytes) -> None:
        """Keep a device's checkpoint once all that it says is found to be so.

        One at or before the newest changes nothing. Raises: `checkpoint_invalid`, `unsupported_version`,
        `signature_invalid`, `must_rebase`, `seen_unknown`, `device_log_conflict`.
        """
        standing = await self.devices.standing(caller.account, caller.device)
        point = checkpoints.decode(body)
        message = checkpoint_message(caller.account, caller.device, body)
        if not verify(standing.key_of(caller.device), message, signature):
            raise EcholiaError("signature_invalid")
        async with self.accounts.lease(caller.account) as db:
            log = await open_log(db)
            if point.position.epoch != log.state.position.epoch:
                raise EcholiaError("must_rebase")
            if await _is_old(db, log, point, standing):
                return
            if not await log.has(db, point.position):
                raise EcholiaError("seen_unknown")
            _check_devices(point, standing)
            live = await found_live(db, log, point, standing, self.walking)
            # Meanwhile the device log may have grown, and the base may have moved.
            standing = await self.devices.standing(caller.account, caller.device)
            _check_devices(point, standing)
            if live is None and not await _is_old(db, log, point, standing):
                raise EcholiaError("checkpoint_invalid", "the log adds up to something else")
            given = StoredCheckpoint(
                caller.device, body, signature, frozenset(standing.revoked), self.clock_ms()
            )
            async with log.moving_base:
                await _keep(db, log, given, standing)
            self.kept(caller.account, log)

    async def listed(self, caller: Caller) -> dict[str, Any]:
        """The newest checkpoint and, if that is another one, the base."""
        standing = await self.devices.standing(caller.account, caller.device)
        async with self.accounts.lease(caller.account) as db:
            base = (await open_log(db)).base.position.seq
            there = await history.kept_checkpoints(db)
        told: list[dict[str, Any]] = []
        for each in there:
            is_base = each.checkpoint.position.seq == base
            if is_base or (not told and not is_void(each, standing)):
                told.append(_told(each, is_base))
        return {"checkpoints": told}

    @asynccontextmanager
    async def cutting_off(self, account: bytes, device: bytes, last: int) -> AsyncIterator[None]:
        """Keep the log's base where it is while a revocation with this cut-off is written.

        Raises: `must_rebase` if the cut-off lies before the device's head at the base.
        """
        async with self.accounts.lease(account) as db:
            log = await open_log(db)
            async with log.moving_base:
                head = log.base.heads.get(device)
                if head is not None and last < head.last:
                    raise EcholiaError("must_rebase", "the cut-off lies before the log's base")
                yield


def is_void(kept: StoredCheckpoint, standing: Standing) -> bool:
    """Whether a device was revoked since with a cut-off before its head in the checkpoint."""
    heads = kept.checkpoint.heads
    return any(
        device not in kept.revoked and device in heads and last < heads[device].counter
        for device, last in standing.revoked.items()
    )


async def _counting(db: OpenAccount, log: OpenLog, standing: Standing) -> tuple[list[int], list[int]]:
    """The positions of the checkpoints that count, newest first, and of those that are void."""
    counting: list[int] = []
    void: list[int] = []
    for each in await history.kept_checkpoints(db):
        seq = each.checkpoint.position.seq
        is_base = seq == log.base.position.seq
        (void if is_void(each, standing) and not is_base else counting).append(seq)
    return counting, void


async def _is_old(db: OpenAccount, log: OpenLog, point: Checkpoint, standing: Standing) -> bool:
    """Whether it lies at or before the newest one that counts."""
    counting, _ = await _counting(db, log, standing)
    return point.position.seq <= max(counting, default=0)


async def found_live(
    db: OpenAccount, log: OpenLog, point: Checkpoint, standing: Standing, walking: Walking
) -> LiveMap | None:
    """What is live at a checkpoint whose position the log has; None if the log adds up to something else."""
    seq, writers = point.position.seq, log.state.heads.keys()
    async with walking.at_once:
        live = await live_map(db, seq, standing.revoked, writers, walking)
        found = await summary(db, log.state.account, live, writers, walking)
    received_ms = await history.received_ms_at(db, seq)
    # Looked up last: a run that was let go of during the walk lies at or before the base.
    heads = {device: ChainHead(*head) for device, head in log.base.heads.items()}
    for device, head in found.heads.items():
        heads[device] = max(head, heads.get(device, head))
    said = (point.received_ms, point.heads, point.count, point.live)
    holds = (received_ms, heads, found.count, found.live) == said
    return live if holds else None


def _check_devices(point: Checkpoint, standing: Standing) -> None:
    if (point.devices_n, point.devices_head) != (standing.length, standing.head):
        raise EcholiaError("device_log_conflict")


async def _keep(db: OpenAccount, log: OpenLog, given: StoredCheckpoint, standing: Standing) -> None:
    seq = given.checkpoint.position.seq
    counting, void = await _counting(db, log, standing)
    if seq <= max(counting, default=0):
        return
    # Those that were kept longest stay, for they are the first that may be compacted to.
    beyond = max(0, len(counting) + 1 - history.MAX_CHECKPOINTS)
    await history.put_checkpoint(db, seq, given, [*void, *counting[:beyond]])
    log.stored_ms[seq] = given.stored_ms


def _told(kept: StoredCheckpoint, compacted: bool) -> dict[str, Any]:
    return {
        "device": b64(kept.device),
        "checkpoint": b64(kept.body),
        "signature": b64(kept.signature),
        "compacted": compacted,
    }
