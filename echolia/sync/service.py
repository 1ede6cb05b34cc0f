"""What a device can ask of its account's log: push, pull, acknowledge, look, listen (`spec/sync.md`)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from echolia.core import runs
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.core.messages import ack_message
from echolia.core.positions import LogPosition
from echolia.core.push import ELIDED, PARTIAL, WHOLE, Item, Page, write_parts
from echolia.core.signing import verify
from echolia.storage.engine import ConstraintViolated, Result, Statement
from echolia.sync import intake, store
from echolia.sync.live import Listeners
from echolia.sync.models import Ack, Outcome, PullRequest, ack_json, position_json
from echolia.sync.quota import Quotas, no_quotas
from echolia.sync.store import Batches, LogState, StoredRun
from echolia.web.context import Caller, Devices, Standing

HEARTBEAT_S: Final = 15.0
_REMEMBERED_POSITIONS: Final = 64
# Beyond this many bytes a push is walked in a thread, so that it does not hold up other requests.
_THREAD_BYTES: Final = 1 << 20


class OpenAccount(Batches, Protocol):
    """An account's database while it is leased; `memory` lives as long as it stays open."""

    memory: dict[str, object]

    async def grow(self, statements: Sequence[Statement]) -> list[Result]:
        """One atomic unit of work that stores more; raises `storage_full` where a full disk lives on its
        reserve.
        """
        ...


class Accounts(Protocol):
    """Where accounts' databases are leased from."""

    def lease(self, account: bytes) -> AbstractAsyncContextManager[OpenAccount]:
        """The account's open database; raises `storage_missing`."""
        ...


@dataclass(slots=True)
class _Log:
    """What the owner of an open database remembers of its log."""

    state: LogState
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    positions: OrderedDict[int, bytes] = field(default_factory=OrderedDict)

    def remember(self, state: LogState) -> None:
        """The log moved on; its newest positions are what writers name as seen."""
        self.state = state
        self.positions[state.position.seq] = state.position.log
        if len(self.positions) > _REMEMBERED_POSITIONS:
            self.positions.popitem(last=False)


@dataclass(frozen=True, slots=True)
class SyncService:
    """The log's rules over accounts' databases; `clock_ms` is the server's time."""

    accounts: Accounts
    devices: Devices
    clock_ms: Callable[[], int]
    listeners: Listeners = field(default_factory=Listeners)
    quotas: Quotas = field(default_factory=no_quotas)

    async def push(
        self, caller: Caller, frames: Sequence[bytes | memoryview], reserve: bool = False
    ) -> dict[str, Any]:
        """Take the runs in these frames, each whole or not at all; what is answered as stored is on disk.

        With `reserve` they may have the room of the quota's reserve. Raises, with nothing stored: what
        `Quotas.admit` raises, `storage_full`.
        """
        standing = await self.devices.standing(caller.account)
        if sum(map(len, frames)) > _THREAD_BYTES:
            read = await asyncio.to_thread(_read_all, frames, caller.account, standing)
        else:
            read = _read_all(frames, caller.account, standing)
        async with self.accounts.lease(caller.account) as db:
            log = await _log(db)
            async with log.writing:
                outcomes = await self._commit(db, log, read, reserve)
            position = log.state.position
        if any(outcome.status == "stored" for outcome in outcomes):
            self.listeners.tell(caller.account, position)
        told = [outcome.as_json() for outcome in outcomes]
        return {"epoch": position.epoch, "head": position_json(position), "runs": told}

    async def _commit(
        self, db: OpenAccount, log: _Log, read: Sequence[intake.ReadRun | Outcome], reserve: bool
    ) -> list[Outcome]:
        try:
            return await self._try_commit(db, log, read, reserve)
        except ConstraintViolated:
            # Somebody else wrote to this log: what is remembered is stale, what is stored is whole.
            log.positions.clear()
            log.remember(await store.load(db))
            return await self._try_commit(db, log, read, reserve)

    async def _try_commit(
        self, db: OpenAccount, log: _Log, read: Sequence[intake.ReadRun | Outcome], reserve: bool
    ) -> list[Outcome]:
        state, new, outcomes, now_ms = log.state, [], [], self.clock_ms()
        refused: set[bytes] = set()
        states = []
        for run in read:
            if isinstance(run, Outcome):
                outcome = run
            elif run.header.device in refused:
                outcome = Outcome("refused", run.header, code="run_skipped")
            elif not await _seen_holds(db, log, run.header.seen):
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
            await self.quotas.admit(db, log.state, state, new, reserve)
            await db.grow([store.insert(run) for run in new])
            for each in states:
                log.remember(each)
        return outcomes

    async def pull(self, caller: Caller, request: PullRequest) -> Page:
        """A page of runs after the request's cursor, or lacking in its vector."""
        async with self.accounts.lease(caller.account) as db:
            log = await _log(db)
            state = log.state
            if request.epoch is not None and request.epoch != state.position.epoch:
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
            more = _end_of(found[-1]) < state.position.seq
        items = [_item(run, request.stream, own) for run in found]
        return Page(more, state.position, items)

    async def ack(self, caller: Caller, ack: Ack) -> None:
        """Keep a device's signed word of how far it has verified the log."""
        standing = await self.devices.standing(caller.account)
        message = ack_message(caller.account, caller.device, ack.verified, ack.devices_n, ack.devices_head)
        if not verify(standing.keys[caller.device], message, ack.signature):
            raise EcholiaError("signature_invalid")
        async with self.accounts.lease(caller.account) as db:
            log = await _log(db)
            if ack.verified.epoch != log.state.position.epoch:
                raise EcholiaError("must_rebase")
            if not await _seen_holds(db, log, ack.verified):
                raise EcholiaError("seen_unknown")
            await store.put_ack(db, caller.device, ack)

    async def status(self, caller: Caller) -> dict[str, Any]:
        """What the server holds of the account's log, in numbers and ids."""
        async with self.accounts.lease(caller.account) as db:
            state = (await _log(db)).state
            acks = await store.acks(db)
            quota = await self.quotas.report(db, state)
        heads = sorted(state.heads.items())
        return {
            "epoch": state.position.epoch,
            "head": position_json(state.position),
            "stored_bytes": state.total_bytes,
            "devices": [{"device": b64(d), "counter": h.last, "chain": b64(h.chain)} for d, h in heads],
            "acks": [ack_json(device, ack) for device, ack in acks],
            "quota": quota,
        }

    async def live(
        self, caller: Caller, heartbeat_s: float = HEARTBEAT_S
    ) -> AsyncGenerator[LogPosition | None]:
        """The log's head now and whenever it moves; None after each `heartbeat_s` of silence.

        Ends when the caller's token expires; raises `listeners_full`, and what `Devices.admits` raises.
        """
        with self.listeners.listening(caller.account, caller.device) as listener:
            async with self.accounts.lease(caller.account) as db:
                head: LogPosition | None = (await _log(db)).state.position
            while True:
                yield head
                left_s = caller.expires - self.clock_ms() / 1000
                if left_s <= 0:
                    return
                head = await listener.next(min(heartbeat_s, left_s))
                self.devices.admits(caller)


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


async def _log(db: OpenAccount) -> _Log:
    log = db.memory.get("log")
    if not isinstance(log, _Log):
        state = await store.load(db)
        # Whoever came first while this one waited has set it: there must be one lock for all writers.
        log = db.memory.setdefault("log", _Log(state))
        assert isinstance(log, _Log)
    return log


async def _seen_holds(db: OpenAccount, log: _Log, seen: LogPosition) -> bool:
    """Whether a position of this epoch is one that the log has; another epoch's cannot be judged here."""
    state = log.state
    if seen.epoch != state.position.epoch:
        return True
    if seen.seq > state.position.seq:
        return False
    if seen.seq == state.position.seq:
        return seen.log == state.position.log
    known = log.positions.get(seen.seq) or await store.log_at(db, state, seen.seq)
    return known == seen.log


async def _old_chain(db: OpenAccount, state: LogState, run: intake.ReadRun) -> bytes | None:
    """The stored chain hash at a run's last counter, where that lies before the device's head."""
    head = state.heads.get(run.header.device)
    if head is None or run.header.last >= head.last:
        return None
    return await store.chain_at(db, run.header.device, run.header.last)


def _end_of(run: StoredRun) -> int:
    return run.seq + runs.read_header(run.frame).count - 1


def _item(run: StoredRun, stream: bytes | None, own: bytes) -> Item:
    if run.device == own:
        return Item(run.seq, run.received_ms, ELIDED, run.frame[: runs.RUN_HEADER_BYTES] + run.chain)
    if stream is None:
        return Item(run.seq, run.received_ms, WHOLE, run.frame)
    ends = runs.change_ends(run.frame, runs.read_header(run.frame))
    wanted = [found == stream for found in runs.streams(run.frame, ends)]
    if not any(wanted):
        return Item(run.seq, run.received_ms, ELIDED, run.frame[: runs.RUN_HEADER_BYTES] + run.chain)
    return Item(run.seq, run.received_ms, PARTIAL, write_parts(run.frame, ends, wanted))
