"""Syncing: device log, push, pull, acknowledge; each step durable by itself, so that it resumes anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from echolia.client import (
    accesses,
    checkpointing,
    evidence,
    generations,
    history,
    ledger,
    outgoing,
    rebasing,
    resets,
    starting,
    witnesses,
)
from echolia.client.applying import Applied, Applier
from echolia.client.backpressure import Backpressure
from echolia.client.brakes import BrakeLimits
from echolia.client.braking import Braking
from echolia.client.database import Database
from echolia.client.device_entries import fetch_device_log
from echolia.client.environment import Environment
from echolia.client.identity import Identity
from echolia.client.opening import OpenHome
from echolia.client.outgoing import Outgoing
from echolia.client.pages import pull_page, read_served
from echolia.client.quotas import read_quota
from echolia.client.renewing import renew
from echolia.client.reports import Changed, Held, Progress, Quota, SyncReport
from echolia.client.session import ANSWERED, Refused, Session
from echolia.client.verifier import verify_page
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.core.messages import ack_message
from echolia.core.positions import LogPosition
from echolia.core.push import PUSH_TYPE, Page, write_push

OnProgress = Callable[[Progress], None]
Result = TypeVar("Result")
_ROUNDS: Final = 4  # of starting again in one sync: an honest server needs no more
# What a page may bring before this device has heard of it: a device that was added, a key that was rotated.
_UNHEARD_OF: Final = {"ghost_device", "key_missing"}


@dataclass(slots=True)
class _Tally:
    """What a sync has done so far."""

    pushed: int = 0
    pulled: int = 0
    quarantined: int = 0
    pushed_bytes: int = 0
    pulled_bytes: int = 0
    changed: set[str] = field(default_factory=set)
    conflicts: set[str] = field(default_factory=set)
    quota: Quota | None = None
    held: Held | None = None

    def add(self, applied: Applied) -> Changed:
        changed = Changed(
            frozenset(id_.hex() for id_ in applied.changed), frozenset(id_.hex() for id_ in applied.conflicts)
        )
        self.pulled += applied.changes
        self.quarantined += applied.quarantined
        if applied.changes:
            self.changed |= changed.objects
            self.conflicts |= changed.conflicts
        return changed


class Syncing:
    """Syncs one replica with one server; one sync at a time."""

    def __init__(self, opened: OpenHome, session: Session, limits: BrakeLimits) -> None:
        self._opened, self._replica, self._session = opened, opened.replica, session
        self._backpressure = Backpressure(opened.replica)
        self._braking = Braking(opened.replica, session, limits)
        self._one = asyncio.Lock()
        self._told = b""  # what others acknowledged, as it was served, while it is compared

    @property
    def _database(self) -> Database:
        return self._replica.database

    @property
    def _identity(self) -> Identity:
        return self._replica.identity

    @property
    def environment(self) -> Environment:
        """The device's surroundings."""
        return self._replica.environment

    async def sync(self, on_progress: OnProgress | None = None) -> SyncReport:
        """See `Device.sync`."""
        async with self._one:
            await self._replica.run(evidence.check, self._database)
            tally = _Tally()
            try:
                await self._rounds(tally, on_progress or _ignore)
            except EcholiaError as error:
                answer, now_ms = self._told or ANSWERED.get(), self._replica.environment.now_ms()
                await self._replica.run(evidence.keep, self._database, error, answer, now_ms)
                named = await self._replica.run(resets.named, self._database, error)
                if named is error:
                    raise
                raise named from error
            finally:
                self._told = b""
                ANSWERED.set(b"")
            return await self._replica.run(self._reported, tally)

    @property
    def alone(self) -> asyncio.Lock:
        """Held by a sync, and by whatever must not go on beside one: the account's keys change in both."""
        return self._one

    async def before_pairing(self) -> None:
        """Have the newest keys, and spare a device that is about to be added all history, if it is long."""
        async with self._one:
            await self._follow()
            await checkpointing.offer(self._replica, self._session, new_device=True)

    async def _rounds(self, tally: _Tally, report: OnProgress) -> None:
        """Sync; where the log has to be read again or this home is one of two, do that and go on."""
        for _ in range(_ROUNDS):
            try:
                await self._steps(tally, report)
                return
            except EcholiaError as error:
                failed = error
            if failed.code == "must_rebase":
                await self._replica.run(rebasing.begin, self._replica, "parked")
            elif failed.code == "device_fork" and not isinstance(failed, Refused):
                await renew(self._opened, self._session)
            else:
                raise failed
        raise failed

    async def _steps(self, tally: _Tally, report: OnProgress) -> None:
        report(Progress("devices", 0, None, 0))
        status = await self._session.ask("GET", "/sync/status")
        told = ANSWERED.get()
        await self._replica.run(witnesses.check_epoch, self._replica, status)
        await self._replica.run(witnesses.check_head, self._replica, status)
        acks, tally.quota = witnesses.read_acks(status), read_quota(status)
        await self._follow()
        refused = await self._exchange(status, tally, report)
        await self._replica.run(witnesses.check_vouched, self._replica)
        self._told = told
        await self._replica.run(witnesses.check, self._replica, acks)
        self._told = b""
        await self._acknowledge(report)
        if refused is not None:
            raise refused
        await checkpointing.offer(self._replica, self._session)

    async def _exchange(self, status: Mapping[str, Any], tally: _Tally, report: OnProgress) -> Refused | None:
        """Push and pull; gives why the server did not take all, since that need not stop a pull."""
        if await self._replica.run(rebasing.begin_if_due, self._replica, status):
            await self._pull(tally, report)
            await self._replica.run(rebasing.check, self._replica)
            if self._identity.device in await self._replica.run(rebasing.lost, self._database):
                await renew(self._opened, self._session, lost=True)
            tally.conflicts |= await rebasing.finish(self._replica)
        await accesses.write_if_due(self._replica)
        refused = await self._push(tally, report)
        await self._braking.begin(status)
        await self._pull(tally, report)
        if self._braking.rewound is not None:
            refused = await self._push(tally, report) or refused
        return refused

    def _reported(self, tally: _Tally) -> SyncReport:
        now_ms = self._replica.environment.now_ms()
        self._database.put("last_sync_ms", now_ms)
        history.prune(self._database, now_ms, history.PRUNED_AT_ONCE)
        ledger.trim(self._database)
        self._database.shrink()
        at = ledger.position(self._database, self._identity.account)
        changed = Changed(frozenset(tally.changed), frozenset(tally.conflicts))
        done = tally.pushed, tally.pulled, tally.quarantined
        told = tally.quota, tally.held, self._braking.rewound
        return SyncReport(*done, changed, at.epoch, at.seq, *told)

    async def _push(self, tally: _Tally, report: OnProgress) -> Refused | None:
        try:
            await self._push_all(tally, report)
        except Refused as refused:
            return refused
        return None

    async def _push_all(self, tally: _Tally, report: OnProgress) -> None:
        after, total = await self._replica.run(self._unsent)
        flow = await self._replica.run(self._backpressure.begin, after, tally.quota)
        while sent := await self._replica.run(flow.next):
            body = write_push(run.frame for run in sent)
            report(Progress("push", tally.pushed, total, tally.pushed_bytes))
            try:
                answer = await self._session.push(flow.path, body, PUSH_TYPE)
            except Refused as refused:
                await self._replica.run(flow.refused, refused, sent)
                continue
            outcomes = outgoing.check_answer(sent, answer)
            epoch = answer.get("epoch")
            applied = await self._replica.run(self._settle, sent, outcomes, epoch)
            self._replica.tell(tally.add(applied))
            flow.after = sent[-1].header.last
            tally.pushed += sum(run.header.count for run in sent)
            tally.pushed_bytes += len(body)
            report(Progress("push", tally.pushed, max(total, tally.pushed), tally.pushed_bytes))
        tally.held = await self._replica.run(self._backpressure.end, flow)

    def _unsent(self) -> tuple[int, int]:
        """The own counter up to which the server has it all, as far as is known, and how much follows it."""
        head = ledger.heads(self._database).get(self._identity.device)
        after = max(self._database.get("stored") or 0, head.counter if head else 0)
        waiting = self._database.value("SELECT count(*) FROM outbox WHERE counter > ?", after)
        return after, int(waiting)

    def _settle(self, sent: list[Outgoing], outcomes: list[dict[str, Any]], epoch: object) -> Applied:
        """What an answer settles: what is stored need not be sent again; what fits the log is confirmed."""
        with self._database.transaction():
            applier = Applier(self._database, self._identity, self._replica.environment)
            known = ledger.known(self._database, self._identity.account)
            at, received_ms = known.in_epoch(epoch).position, known.received_ms
            for run, outcome in zip(sent, outcomes, strict=True):
                if outcome["status"] == "refused":
                    break
                self._database.put("stored", run.header.last)
                verified = outgoing.acknowledged(at, received_ms, run, outcome)
                if verified is not None:
                    applier.apply(verified)
                    at, received_ms = verified.after, verified.received_ms
            applied = applier.finish()
            refused = outgoing.refusal(outcomes)
            if refused is not None and refused.code == "run_gap":
                self._database.put("stored", 0)
        if refused is not None:
            raise refused
        return applied

    def _doubt(self) -> None:
        """Send again what the server said it has, if the log that it served to its end does not hold it."""
        stored = self._database.get("stored") or 0
        if self._database.value("SELECT 1 FROM outbox WHERE counter <= ? LIMIT 1", stored):
            self._database.put("stored", 0)

    async def _pull(self, tally: _Tally, report: OnProgress) -> None:
        before = tally.pulled
        await self._start(tally, report)
        again = await self._replica.run(rebasing.due, self._database)
        at = await self._replica.run(ledger.position, self._database, self._identity.account)
        start, more = at.seq - (tally.pulled - before), True  # what it started with counts as done
        while more:
            raw = await pull_page(self._session, at, elide_own=again is None)
            page = read_served(raw)
            for part in [page] if again else self._braking.parts(page):
                at = await self._take(part, tally, braked=again is None)
            more = page.more
            tally.pulled_bytes += len(raw)
            report(Progress("pull", at.seq - start, page.head.seq - start, tally.pulled_bytes))
        await self._replica.run(self._doubt)
        if again is None:
            await self._replica.run(self._braking.settle, at)

    async def _take(self, page: Page, tally: _Tally, *, braked: bool) -> LogPosition:
        """Apply a page, once it is sure that it is no mass change; raises `mass_change`."""
        apply = partial(self._apply, braked=braked)
        try:
            applied, at = await self._applied(apply, page)
        except EcholiaError as error:
            if error.code != "mass_change":
                raise
            await self._follow()  # what cannot be read counts for nothing
            await self._braking.weigh(page)
            applied, at = await self._applied(apply, page)
        self._tell(tally, applied)
        if braked:
            await self._braking.reached(at)
        return at

    async def _start(self, tally: _Tally, report: OnProgress) -> None:
        """Where nothing of the log is known: what counts of it, if the server has a checkpoint."""
        point = await starting.begin(self._replica, self._session)
        while point is not None:
            raw, page = await starting.read_page(self._replica, self._session, point)
            self._tell(tally, await self._applied(partial(starting.apply_page, self._replica, point), page))
            tally.pulled_bytes += len(raw)
            report(Progress("pull", tally.pulled, point.count, tally.pulled_bytes))
            if not page.more:
                return

    def _tell(self, tally: _Tally, applied: Applied) -> None:
        changed = tally.add(applied)
        if changed.objects:
            self._replica.tell(changed)

    async def _applied(self, apply: Callable[[Page, bool], Result], page: Page) -> Result:
        """Apply a page; if it brings what is not known yet, look what the server has of it by now."""
        try:
            return await self._replica.run(apply, page, True)
        except EcholiaError as error:
            if error.code not in _UNHEARD_OF:
                raise
        told = ANSWERED.get()
        await self._follow()
        ANSWERED.set(told)  # if it still fails, the page shows why
        return await self._replica.run(apply, page, False)

    async def _follow(self) -> None:
        """Have the device log and the newest account key."""
        await fetch_device_log(self._replica, self._session)
        await generations.follow(self._opened, self._session)

    def _apply(self, page: Page, keys_may_come: bool, *, braked: bool) -> tuple[Applied, LogPosition]:
        with self._database.transaction():
            known = ledger.known(self._database, self._identity.account, self._identity.device)
            verified = verify_page(known, page)
            self._database.put("epoch", verified.known.position.epoch)
            formers = self._braking.formers() if braked else None
            around = self._replica.environment
            applier = Applier(
                self._database, self._identity, around, formers, keys_may_come=keys_may_come
            )  # fmt: skip
            applier.retry()
            for run in verified.runs:
                applier.apply(run)
            applied = applier.finish()
            if braked:
                self._braking.check(verified.known.position)
            return applied, verified.known.position

    async def _acknowledge(self, report: OnProgress) -> None:
        body, mark = await self._replica.run(self._ack)
        if body is not None:
            report(Progress("ack", 0, 1, 0))
            await self._session.ask("POST", "/sync/ack", body)
            await self._replica.run(self._database.put, "acknowledged", mark)

    def _ack(self) -> tuple[dict[str, Any] | None, str]:
        """The acknowledgement to send, unless the last one said the same; and what it says."""
        at = ledger.position(self._database, self._identity.account)
        log = ledger.device_log(self._database)
        mark = f"{at.epoch}.{at.seq}.{log.length}"
        if self._database.get("acknowledged") == mark:
            return None, mark
        message = ack_message(self._identity.account, self._identity.device, at, log.length, log.head)
        devices = {"n": log.length, "head": b64(log.head)}
        signature = b64(self._identity.keys.sign(message))
        return {
            "epoch": at.epoch,
            "seq": at.seq,
            "log": b64(at.log),
            "devices": devices,
            "signature": signature,
        }, mark


def _ignore(progress: Progress) -> None:
    """Nobody asked to be told."""
