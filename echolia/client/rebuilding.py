"""Rebuilding what a revoked device wrote after its cut-off, so that every device ignores the same changes.

A device may have applied such changes before it learnt of the revocation, and joins cannot be undone. So
the objects they are about are joined anew from the log, which is read once more and must be the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from echolia.client import ledger
from echolia.client.applying import Applier
from echolia.client.device_entries import fetch_device_log
from echolia.client.pages import pull_page, read_served
from echolia.client.replica import Replica
from echolia.client.reports import Changed
from echolia.client.session import Session
from echolia.client.verifier import Known, VerifiedRun, verify_page
from echolia.core.errors import EcholiaError
from echolia.core.positions import LogPosition, log_start
from echolia.core.push import Page


@dataclass(slots=True)
class _Reading:
    """The log on its second reading, up to where it was verified; and what it holds of the objects."""

    applier: Applier
    known: Known
    until: LogPosition
    device_log_length: int

    def take(self, page: Page) -> None:
        """Verify a page like any other, and against the first reading."""
        first = self.known.log_at
        verified = verify_page(self.known, page)
        if page.head.seq < self.until.seq:  # else this would ask for the rest for ever
            raise EcholiaError("log_rolled_back", f"at {page.head.seq}, verified {self.until.seq} before")
        self.known = replace(verified.known, log_at=first)
        for run in verified.runs:
            if run.after.seq <= self.until.seq:
                self._take(run, first(run.after.seq))

    def _take(self, run: VerifiedRun, log_before: bytes | None) -> None:
        if run.after.log != log_before:
            raise EcholiaError("log_rewritten", f"position {run.after.seq} was another one before")
        self.applier.take_again(run)


async def rebuild_cut_off(replica: Replica, session: Session) -> None:
    """Join anew what has to be; interrupted, it begins again at the next sync."""
    try:
        await _rebuild(replica, session)
    except EcholiaError as error:
        # A device may have been added between the device log fetched before and these pages.
        if error.code != "ghost_device":
            raise
        await fetch_device_log(replica, session)
        await _rebuild(replica, session)


async def _rebuild(replica: Replica, session: Session) -> None:
    reading = await replica.run(_begun, replica)
    if reading is None:
        return
    while reading.known.position.seq < reading.until.seq:
        raw = await pull_page(session, reading.known.position, elide_own=False)
        await replica.run(reading.take, read_served(raw))
    replica.tell(await replica.run(_finished, replica, reading))


def _begun(replica: Replica) -> _Reading | None:
    database, identity = replica.database, replica.identity
    ids = [id_ for (id_,) in database.rows("SELECT object FROM rebuilding")]
    if not ids:
        return None
    applier = Applier(database, identity, replica.environment)
    applier.forget(ids)
    known = ledger.known(database, identity.account)
    start = log_start(identity.account, known.position.epoch)
    anew = replace(known, position=start, received_ms=0, heads={})
    return _Reading(applier, anew, known.position, ledger.device_log(database).length)


def _finished(replica: Replica, reading: _Reading) -> Changed:
    with replica.database.transaction():
        reading.applier.refresh()
        applied = reading.applier.finish()
        if ledger.device_log(replica.database).length == reading.device_log_length:
            replica.database.run("DELETE FROM rebuilding")  # else another cut-off may have come meanwhile
    conflicts = frozenset(id_.hex() for id_ in applied.conflicts)
    return Changed(frozenset(id_.hex() for id_ in applied.changed), conflicts)
