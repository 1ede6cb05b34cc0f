"""Braking: between what is pulled and what is shown; a mass change of other devices waits for the person.

A page that would take too much is undone. Then everything that waits is counted together, so that what comes
and is put right again does not stop anybody, and what is left of it is kept as a preview.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from echolia.client import brakes, ledger, places
from echolia.client.applying import Applier
from echolia.client.brakes import BrakeLimits, Losses, Stopped
from echolia.client.formers import SPAN_MS, Formers
from echolia.client.pages import pull_page, read_served
from echolia.client.replica import Replica
from echolia.client.reports import Brake, Changed, Rewound
from echolia.client.rewinding import undo
from echolia.client.session import Session
from echolia.client.verifier import verify_page
from echolia.core.errors import EcholiaError
from echolia.core.positions import LogPosition
from echolia.core.push import Item, Page
from echolia.core.runs import read_header

# What is counted before it is applied lies in memory: so many pages of about 2 MiB.
_MOST_PAGES: Final = 8


class _Undone(Exception):
    """No error: it ends a transaction that was only for counting, and takes it back."""


class _Weight(NamedTuple):
    """What waits, counted: since when, what it takes, the preview, who did it, how far it was looked at."""

    since_ms: int
    losses: Losses
    preview: Brake
    culprits: frozenset[bytes]
    until: int


@dataclass(frozen=True, slots=True)
class _Window:
    """From when on what was applied counts: for this sync alone, and with what came before."""

    sync_ms: int
    before_ms: int


class Braking:
    """The brake of one replica's syncs: `begin` each with it, and apply pages as it says."""

    def __init__(self, replica: Replica, session: Session, limits: BrakeLimits) -> None:
        self._replica, self._session, self._limits = replica, session, limits
        self._database = replica.database
        self._window = _Window(0, 0)
        self._released = 0  # up to here nothing is counted
        self._deciding: Stopped | None = None
        self.rewound: Rewound | None = None

    async def begin(self, status: Mapping[str, Any]) -> None:
        """A sync is about to pull from a log that stands as `GET /sync/status` says.

        Raises `mass_change` while the person has not decided about all that waits.
        """
        now_ms = self._replica.environment.now_ms()
        # Edits of one minute are kept together, so the minute before may hold some of this sync's.
        sync_ms = now_ms - SPAN_MS
        self._window = _Window(sync_ms, min(sync_ms, now_ms - self._limits.window_s * 1000))
        self.rewound = None
        await self._resume(status)

    async def _resume(self, status: Mapping[str, Any]) -> None:
        self._released, self._deciding = 0, None
        at, device_log, stopped = await self._replica.run(self._standing, status.get("epoch"))
        if stopped is None:
            return
        head = status.get("head")
        if stopped.stage == "waiting":
            same = isinstance(head, dict) and head.get("seq") == stopped.seq
            if same and device_log == stopped.device_log:
                raise _stopped(stopped.preview)
            # There is more now, or a device was revoked: count again, with all that counted before.
            self._window = replace(self._window, before_ms=min(self._window.before_ms, stopped.since_ms))
            return
        self._released, self._deciding = stopped.seq, stopped
        await self.reached(at)

    def _standing(self, epoch: object) -> tuple[LogPosition, int, Stopped | None]:
        """Where the log is held, how long the device log is, and the mass change to be dealt with.

        One of another epoch's log is none.
        """
        stopped = brakes.current(self._database)
        if stopped is not None and stopped.epoch and stopped.epoch != epoch:
            with self._database.transaction():
                brakes.end(self._database, stopped.n)
            stopped = None
        at = ledger.position(self._database, self._replica.identity.account)
        return at, ledger.device_log(self._database).length, stopped

    def parts(self, page: Page) -> Iterator[Page]:
        """The page, cut where the released changes end: what comes behind them is counted."""
        cut = sum((_end_of(item) or 0) <= self._released for item in page.items) if self._released else 0
        if 0 < cut < len(page.items):
            yield page._replace(more=True, items=page.items[:cut])
            page = page._replace(items=page.items[cut:])
        yield page

    def formers(self) -> Formers:
        """Notes what a page's objects showed before."""
        return Formers(self._database, self._replica.environment.now_ms())

    def check(self, at: LogPosition) -> None:
        """A page was applied up to here, inside a transaction; raises `mass_change` if it took too much."""
        if at.seq > self._released:
            found = brakes.losses(self._database, self._limits, self._window.before_ms)
            if self._limits.exceeded(found):
                raise EcholiaError("mass_change")

    async def weigh(self, page: Page) -> None:
        """Count all that waits from this page on; returns if together it is no mass change.

        Raises `mass_change`, once it is kept and told.
        """
        pages = [page]
        while pages[-1].more and pages[-1].items and len(pages) < _MOST_PAGES:
            end = _end_of(pages[-1].items[-1])
            if end is None:
                break
            at = LogPosition(page.head.epoch, end, b"")
            pages.append(read_served(await pull_page(self._session, at, elide_own=True)))
        weight = await self._replica.run(self._weigh, pages)
        if not self._limits.exceeded(weight.losses):
            self._released = weight.until
            return
        if await self._replica.run(self._stop, weight, pages[-1].head):
            self._replica.tell(Changed(frozenset(), braked=True))
        raise _stopped(weight.preview)

    def _stop(self, weight: _Weight, head: LogPosition) -> bool:
        """Keep what was counted, which reaches to this head; whether it is news."""
        preview, devices = weight.preview, ledger.device_log(self._database).length
        with self._database.transaction():
            stopped = Stopped(
                0, preview.at_ms, weight.since_ms, head.epoch, head.seq, devices, "waiting", preview,
                weight.culprits,
            )  # fmt: skip
            return brakes.stop(self._database, stopped)

    def _weigh(self, pages: list[Page]) -> _Weight:
        found: list[_Weight] = []
        try:
            with self._database.transaction():
                found.append(self._applied(pages))
                raise _Undone
        except _Undone:
            return found[0]

    def _applied(self, pages: list[Page]) -> _Weight:
        """What these pages come to, all applied as one."""
        identity, noted = self._replica.identity, self.formers()
        applier = Applier(self._database, identity, self._replica.environment, noted)
        applier.retry()
        until, complete = 0, not pages[-1].more
        for page in pages:
            try:
                verified = verify_page(ledger.known(self._database, identity.account), page)
            except EcholiaError:
                complete = False  # it is met again, and told, when it is to be applied
                break
            self._database.put("epoch", verified.known.position.epoch)
            for run in verified.runs:
                applier.apply(run)
            until = verified.known.position.seq
        applier.finish()
        return self._counted(noted, until, complete)

    def _counted(self, noted: Formers, until: int, complete: bool) -> _Weight:
        database, limits, since_ms = self._database, self._limits, self._window.sync_ms
        found = brakes.losses(database, limits, since_ms)
        if not limits.exceeded(found):
            since_ms = self._window.before_ms
            found = brakes.losses(database, limits, since_ms)
        devices = brakes.by_device(database, since_ms)
        gone, changed = limits.deletes_too_much(found), limits.overwrites_too_much(found)
        culprits = {
            device for device, taken in devices.items() if (gone and taken[0]) or (changed and taken[1])
        }
        preview = Brake(
            self._replica.environment.now_ms(),
            found.held,
            found.deletions,
            found.overwrites,
            complete,
            {device.hex(): taken for device, taken in devices.items()},
            tuple(noted.examples),
        )
        return _Weight(since_ms, found, preview, frozenset(culprits), until)

    async def reached(self, at: LogPosition) -> None:
        """The log is applied up to here: carry out what was decided, if that is all it was about."""
        stopped = self._deciding
        if stopped is None or (stopped.epoch and at.seq < stopped.seq):
            return
        self._deciding = None
        await self._replica.run(self._applied_all, stopped)
        if stopped.stage == "rewinding":
            self.rewound = await undo(self._replica, stopped.n)

    def _applied_all(self, stopped: Stopped) -> None:
        with self._database.transaction():
            brakes.applied(self._database, stopped)

    def settle(self, at: LogPosition) -> None:
        """All of the log is applied, so nothing waits."""
        with self._database.transaction():
            places.hold(self._database, at)
            brakes.let_pass(self._database)
            brakes.prune(self._database, self._replica.environment.now_ms())


def _stopped(found: Brake) -> EcholiaError:
    least = "" if found.complete else "at least "
    taken = f"{found.deletions} deleted, {found.overwrites} overwritten"
    return EcholiaError("mass_change", f"of {found.held} things here {least}{taken}")


def _end_of(item: Item) -> int | None:
    """Where an item's changes end; None if its bytes follow no page, which is told when it is verified."""
    try:
        return item.seq + read_header(item.content).count - 1
    except EcholiaError:
        return None
