"""What a device can ask of its account's log: push, pull, acknowledge, look (`spec/sync.md`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from echolia.core import runs
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.core.messages import ack_message
from echolia.core.parts import find_parts, with_leaves
from echolia.core.positions import LogPosition
from echolia.core.push import ELIDED, PARTIAL, WHOLE, Item, Page
from echolia.core.signing import verify
from echolia.storage.engine import ConstraintViolated
from echolia.sync import history, intake, store
from echolia.sync.models import Ack, Outcome, PullRequest, ack_json, position_json
from echolia.sync.open_log import Accounts, Hears, OpenAccount, OpenLog, nobody_hears, open_log
from echolia.sync.quota import Quotas, no_quotas
from echolia.sync.store import LogState, StoredRun
from echolia.web.context import Caller, Devices, Standing

# Beyond this many bytes a push is walked in a thread, so that it does not hold up other requests.
_THREAD_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class SyncService:
    """The log's rules over accounts' databases.

    `clock_ms` is the server's time; `moved` tells listeners, `acked` hears of each acknowledgement.
    """

    accounts: Accounts
    devices: Devices
    clock_ms: Callable[[], int]
    moved: Callable[[bytes, LogPosition], None] = lambda _account, _position: None
    acked: Hears = nobody_hears
    quotas: Quotas = field(default_factory=no_quotas)

    async def push(
        self, caller: Caller, frames: Sequence[bytes | memoryview], reserve: bool = False
    ) -> dict[str, Any]:
        """Take the runs in these frames, each whole or not at all; what is answered as stored is on disk.

        With `reserve` they may have the room of the quota's reserve. Raises, with nothing stored: what
        `Quotas.admit` raises, `storage_full`.
        """
        standing = await self.devices.standing(caller.account, caller.device)
        if sum(map(len, frames)) > _THREAD_BYTES:
            read = await asyncio.to_thread(_read_all, frames, caller.account, standing)
        else:
            read = _read_all(frames, caller.account, standing)
        async with self.accounts.lease(caller.account) as db:
            log = await open_log(db)
            async with log.writing:
                outcomes = await self._commit(db, log, read, reserve)
            position = log.state.position
        if any(outcome.status == "stored" for outcome in outcomes):
            self.moved(caller.account, position)
        told = [outcome.as_json() for outcome in outcomes]
        return {"epoch": position.epoch, "head": position_json(position), "runs": told}

    async def _commit(
        self, db: OpenAccount, log: OpenLog, read: Sequence[intake.ReadRun | Outcome], reserve: bool
    ) -> list[Outcome]:
        try:
            return await self._try_commit(db, log, read, reserve)
        except ConstraintViolated:
            # Somebody else wrote to this log: what is remembered is stale, what is stored is whole.
            log.positions.clear()
            state, log.base = await history.load(db)
            log.remember(state)
            return await self._try_commit(db, log, read, reserve)

    async def _try_commit(
        self, db: OpenAccount, log: OpenLog, read: Sequence[intake.ReadRun | Outcome], reserve: bool
    ) -> list[Outcome]:
        state, new, outcomes, now_ms = log.state, [], [], self.clock_ms()
        refused: set[bytes] = set()
        states = []
        for run in read:
            if isinstance(run, Outcome):
                outcome = run
            elif run.header.device in refused:
                outcome = Outcome("refused", run.header, code="run_skipped")
            elif not await log.has(db, run.header.seen):
                outcome = Outcome("refused", run.header, code="seen_unknown")
            else:
                decision = intake.decide(state, run, await _old_chain(db, state, run), now_ms)
                outcome, state = decision.outcome, decision.state
                if decision.store is not None:
                    new.append(decision.store)
                    states.append(state)
            if outcome.status == "refused" and outcome.header is not None:
                refused.add(outcome.header.device)
            outcomes.append(outcome)
        if new:
            await self.quotas.admit(db, log.stored_bytes, log.state, state, new, reserve)
            await db.grow([store.insert(run) for run in new])
            for each in states:
                log.remember(each)
        return outcomes

    async def pull(self, caller: Caller, request: PullRequest) -> Page:
        """A page of runs after the request's cursor, lacking in its vector, or up to its base."""
        async with self.accounts.lease(caller.account) as db:
            log = await open_log(db)
            state = log.state
            if request.base is not None:
                return await _base_page(db, request.base, request, state.position)
            other_epoch = request.epoch is not None and request.epoch != state.position.epoch
            if other_epoch or (request.vector is None and request.after < log.base.position.seq):
                raise EcholiaError("must_rebase")
            if request.after > state.position.seq:
                raise EcholiaError("cursor_ahead")
            own = caller.device if request.elide_own else b""
            if request.vector is not None:
                found, more = await store.lacking(db, state.heads, request.vector, request.max_bytes)
            elif request.after == state.position.seq:
                found, more = [], False
            else:
                found, more = await store.page(db, request.after, request.max_bytes, own), False
        # What was committed while this read must not stand in a page whose head is before it.
        found = [run for run in found if run.seq <= state.position.seq]
        if request.vector is None and found:
            more = found[-1].end < state.position.seq
        items = [_item(run, request.stream, own) for run in found]
        return Page(more, state.position, items)

    async def ack(self, caller: Caller, ack: Ack) -> None:
        """Keep a device's signed word of how far it has verified the log."""
        standing = await self.devices.standing(caller.account, caller.device)
        message = ack_message(caller.account, caller.device, ack.verified, ack.devices_n, ack.devices_head)
        if not verify(standing.key_of(caller.device), message, ack.signature):
            raise EcholiaError("signature_invalid")
        async with self.accounts.lease(caller.account) as db:
            log = await open_log(db)
            if ack.verified.epoch != log.state.position.epoch:
                raise EcholiaError("must_rebase")
            if not await log.has(db, ack.verified):
                raise EcholiaError("seen_unknown")
            await store.put_ack(db, caller.device, ack, self.clock_ms())
            self.acked(caller.account, log)

    async def status(self, caller: Caller) -> dict[str, Any]:
        """What the server holds of the account's log, in numbers and ids."""
        async with self.accounts.lease(caller.account) as db:
            log = await open_log(db)
            acks = await store.acks(db)
            state = log.state
            quota = await self.quotas.report(db, log.stored_bytes, state)
        heads = sorted(state.heads.items())
        return {
            "epoch": state.position.epoch,
            "base": log.base.position.seq,
            "head": position_json(state.position),
            "stored_bytes": log.stored_bytes,
            "devices": [{"device": b64(d), "counter": h.last, "chain": b64(h.chain)} for d, h in heads],
            "acks": [ack_json(device, ack) for device, ack in acks],
            "quota": quota,
        }


def _read_all(
    frames: Sequence[bytes | memoryview], account: bytes, standing: Standing
) -> list[intake.ReadRun | Outcome]:
    """Each frame's run, or the refusal that its own bytes earn it."""
    found: list[intake.ReadRun | Outcome] = []
    for frame in frames:
        header = None
        try:
            header = runs.read_header(frame)
            if header.device in standing.revoked:
                raise EcholiaError("device_revoked")
            found.append(intake.read(frame, header, account, standing.keys))
        except EcholiaError as error:
            at = error.at if isinstance(error, runs.RunInvalid) else None
            found.append(Outcome("refused", header, code=error.code, at=at))
    return found


async def _old_chain(db: OpenAccount, state: LogState, run: intake.ReadRun) -> bytes | None:
    """The stored chain hash at a run's last counter, where that lies before the device's head."""
    head = state.heads.get(run.header.device)
    if head is None or run.header.last >= head.last:
        return None
    return await store.chain_at(db, run.header.device, run.header.last)


async def _base_page(db: OpenAccount, base: int, request: PullRequest, head: LogPosition) -> Page:
    found = await history.base_page(db, base, request.before, request.max_bytes)
    if found is None:
        raise EcholiaError("must_rebase")
    served, more = found
    return Page(more, head, [_item(run, None, b"") for run in served])


def _item(run: StoredRun, stream: bytes | None, own: bytes) -> Item:
    if run.device == own:
        return _elided(run)
    if stream is None:
        return Item(run.seq, run.received_ms, PARTIAL if run.partial else WHOLE, run.frame)
    parts = find_parts(run.frame, run.header, bool(run.partial))
    wanted = [part.whole and runs.stream_at(run.frame, part.at) == stream for part in parts]
    if not any(wanted):
        return _elided(run)
    return Item(run.seq, run.received_ms, PARTIAL, with_leaves(run.frame, parts, wanted))


def _elided(run: StoredRun) -> Item:
    return Item(run.seq, run.received_ms, ELIDED, run.frame[: runs.RUN_HEADER_BYTES] + run.chain)
