"""Fetching the evidence: the whole log once more, as the server serves it, verified before it is written."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from echolia.client import ledger
from echolia.client.exporting.evidence import Evidence, Served
from echolia.client.exporting.part import Part
from echolia.client.pages import pull_base, pull_page, read_served
from echolia.client.replica import Replica
from echolia.client.session import ANSWERED, Session, bytes_of
from echolia.core.errors import EcholiaError
from echolia.core.export_records import EVIDENCE, RUN, Record, pack_item, unpack_item
from echolia.core.positions import LogPosition
from echolia.core.push import Page

OnRuns = Callable[[int, int], None]


class Fetching:
    """Adds evidence to a part; `reached` is how far it goes, whatever stops it."""

    def __init__(self, replica: Replica, session: Session, part: Part, on_runs: OnRuns) -> None:
        self._replica, self._session, self._part, self._on_runs = replica, session, part, on_runs
        self._evidence: Evidence | None = None

    @property
    def reached(self) -> LogPosition | None:
        """Where in the log the evidence ends; None if there is none."""
        return None if self._evidence is None else self._evidence.position

    async def run(self) -> None:
        """Fetch to the log's head; raises what the server was caught at, or `server_unreachable`."""
        served = await self._served()
        evidence = await self._replica.run(self._begin, served)
        while evidence.at_base:
            page = _read(await pull_base(self._session, served.base, evidence.before))
            await self._replica.run(self._take, evidence, page)
            if not page.more:
                evidence.end_base()
            elif not page.items:
                raise EcholiaError("server_invalid", "the base does not end")
        more = True
        while more:
            page = _read(await pull_page(self._session, evidence.position, elide_own=False))
            await self._replica.run(self._take, evidence, page)
            more = self._goes_on(evidence.position, page)
            self._on_runs(evidence.position.seq, page.head.seq)
        await self._replica.run(self._check_own, evidence)

    def keep_left(self) -> None:
        """Without the server: keep what a former run fetched, as far as it holds."""
        left = self._part.peek()
        if left is not None and left.kind == EVIDENCE:
            with suppress(EcholiaError):
                self._begin(Served.decode(left.content))

    async def _served(self) -> Served:
        status = await self._session.ask("GET", "/sync/status")
        points = (await self._session.ask("GET", "/sync/checkpoint")).get("checkpoints")
        numbers = status.get("epoch"), status.get("base")
        if not isinstance(points, list) or any(type(one) is not int for one in numbers):
            raise EcholiaError("server_invalid", "expected checkpoints, an epoch and a base")
        return Served(numbers[0] or 0, numbers[1] or 0, tuple(_point(point) for point in points))

    def _begin(self, served: Served) -> Evidence:
        """What a former run of the same evidence left is verified again and kept."""
        database = self._replica.database
        evidence = Evidence(ledger.device_log(database), ledger.device_entries(database), served)
        self._part.add(Record(EVIDENCE, served.encode()))
        self._evidence = evidence
        while (left := self._part.peek()) is not None and left.kind == RUN:
            evidence.run(unpack_item(left.content))
            self._part.keep()
        return evidence

    def _take(self, evidence: Evidence, page: Page) -> None:
        for item in page.items:
            evidence.run(item)
            self._part.add(Record(RUN, pack_item(item)))

    def _goes_on(self, at: LogPosition, page: Page) -> bool:
        if page.head.epoch != at.epoch:
            raise EcholiaError("must_rebase", "the answer is of another epoch")
        if page.more and page.items:
            return True
        if at != page.head:
            raise EcholiaError("log_rewritten", f"the head at {page.head.seq} is not what the runs add up to")
        return False

    def _check_own(self, evidence: Evidence) -> None:
        """What this home verified before is what was served now."""
        at = ledger.position(self._replica.database, self._replica.identity.account)
        if at.epoch != evidence.position.epoch:
            return
        if at.seq > evidence.position.seq:
            raise EcholiaError(
                "log_rolled_back", f"at {evidence.position.seq}, this device verified {at.seq}"
            )
        if evidence.log_at(at.seq) not in (None, at.log):
            raise EcholiaError("log_rewritten", f"position {at.seq} was another one before")


def _read(raw: bytes) -> Page:
    """A page. It is no evidence against the server: every timer of the next requests would keep it alive."""
    ANSWERED.set(b"")
    return read_served(raw)


def _point(fields: Any) -> dict[str, bytes]:
    if not isinstance(fields, dict):
        raise EcholiaError("server_invalid", "expected a checkpoint")
    lengths = {"device": 16, "checkpoint": None, "signature": 64}
    return {name: bytes_of(fields, name, length) for name, length in lengths.items()}
