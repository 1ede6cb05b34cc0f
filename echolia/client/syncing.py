"""Syncing: device log, push, pull, acknowledge; each step durable by itself, so that it resumes anywhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from echolia.client import evidence, ledger, outgoing, resets, witnesses
from echolia.client.applying import Applied, Applier
from echolia.client.brakes import BrakeLimits
from echolia.client.braking import Braking
from echolia.client.device_entries import fetch_device_log
from echolia.client.outgoing import Outgoing
from echolia.client.pages import pull_page, read_served
from echolia.client.rebuilding import rebuild_cut_off
from echolia.client.replica import Replica
from echolia.client.reports import Changed, Progress, SyncReport
from echolia.client.session import Session
from echolia.client.verifier import verify_page
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.core.messages import ack_message
from echolia.core.positions import LogPosition
from echolia.core.push import PUSH_TYPE, Page, write_push

OnProgress = Callable[[Progress], None]


@dataclass(slots=True)
class _Tally:
    """What a sync has done so far."""

    pushed: int = 0
    pulled: int = 0
    quarantined: int = 0
    pushed_bytes: int = 0
    pulled_bytes: int = 0
    changed: frozenset[str] = frozenset()
    conflicts: frozenset[str] = frozenset()

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

    def __init__(self, replica: Replica, session: Session, limits: BrakeLimits) -> None:
        self._replica, self._session = replica, session
        self._braking = Braking(replica, session, limits)
        self._database, self._identity = replica.database, replica.identity
        self._one = asyncio.Lock()
        self._page = b""  # the last one served, should it turn out to be evidence

    async def sync(self, on_progress: OnProgress | None = None) -> SyncReport:
        """See `Device.sync`."""
        async with self._one:
            await self._replica.run(evidence.check, self._database)
            tally = _Tally()
            try:
                await self._steps(tally, on_progress or _ignore)
            except EcholiaError as error:
                now_ms = self._replica.environment.now_ms()
                await self._replica.run(evidence.keep, self._database, error, self._page, now_ms)
                named = await self._replica.run(resets.named, self._database, error)
                if named is error:
                    raise
                raise named from error
            finally:
                self._page = b""
            return await self._replica.run(self._reported, tally)

    async def _steps(self, tally: _Tally, report: OnProgress) -> None:
        report(Progress("devices", 0, None, 0))
        status = await self._session.ask("GET", "/sync/status")
        self._page = json.dumps(status).encode()
        await self._replica.run(witnesses.check_head, self._replica, status)
        acks = witnesses.read_acks(status)
        await fetch_device_log(self._replica, self._session)
        await rebuild_cut_off(self._replica, self._session)
        await self._push(tally, report)
        await self._braking.begin(status)
        await self._pull(tally, report)
        if self._braking.rewound is not None:
            await self._push(tally, report)
        await self._replica.run(witnesses.check, self._replica, acks)
        await self._acknowledge(report)

    def _reported(self, tally: _Tally) -> SyncReport:
        self._database.put("last_sync_ms", self._replica.environment.now_ms())
        self._database.shrink()
        at = ledger.position(self._database, self._identity.account)
        changed = Changed(tally.changed, tally.conflicts)
        return SyncReport(
            tally.pushed, tally.pulled, tally.quarantined, changed, at.epoch, at.seq, self._braking.rewound
        )  # fmt: skip

    async def _push(self, tally: _Tally, report: OnProgress) -> None:
        after, waiting = await self._replica.run(self._unsent)
        total = waiting
        while sent := await self._replica.run(outgoing.next_runs, self._database, self._identity, after):
            body = write_push(run.frame for run in sent)
            report(Progress("push", tally.pushed, total, tally.pushed_bytes))
            answer = await self._session.push("/sync/push", body, PUSH_TYPE)
            outcomes = outgoing.check_answer(sent, answer)
            epoch = answer.get("epoch")
            applied = await self._replica.run(self._settle, sent, outcomes, epoch)
            self._replica.tell(tally.add(applied))
            after = sent[-1].header.last
            tally.pushed += sum(run.header.count for run in sent)
            tally.pushed_bytes += len(body)
            report(Progress("push", tally.pushed, max(total, tally.pushed), tally.pushed_bytes))

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
        at = await self._replica.run(ledger.position, self._database, self._identity.account)
        start, more = at.seq, True
        while more:
            self._page = raw = await pull_page(self._session, at, elide_own=True)
            page = read_served(raw)
            for part in self._braking.parts(page):
                at = await self._take(part, tally)
            more = page.more
            tally.pulled_bytes += len(raw)
            report(Progress("pull", at.seq - start, page.head.seq - start, tally.pulled_bytes))
        await self._replica.run(self._doubt)
        await self._replica.run(self._braking.settle, at)

    async def _take(self, page: Page, tally: _Tally) -> LogPosition:
        """Apply a page, once it is sure that it is no mass change; raises `mass_change`."""
        try:
            applied, at = await self._applied(page)
        except EcholiaError as error:
            if error.code != "mass_change":
                raise
            await self._braking.weigh(page)
            applied, at = await self._applied(page)
        changed = tally.add(applied)
        if changed.objects:
            self._replica.tell(changed)
        await self._braking.reached(at)
        return at

    async def _applied(self, page: Page) -> tuple[Applied, LogPosition]:
        try:
            return await self._replica.run(self._apply, page)
        except EcholiaError as error:
            # A device may have been added between this page and the device log fetched before it.
            if error.code != "ghost_device":
                raise
        await fetch_device_log(self._replica, self._session)
        return await self._replica.run(self._apply, page)

    def _apply(self, page: Page) -> tuple[Applied, LogPosition]:
        with self._database.transaction():
            verified = verify_page(ledger.known(self._database, self._identity.account), page)
            self._database.put("epoch", verified.known.position.epoch)
            formers = self._braking.formers()
            applier = Applier(self._database, self._identity, self._replica.environment, formers)
            applier.retry()
            for run in verified.runs:
                applier.apply(run)
            applied = applier.finish()
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
