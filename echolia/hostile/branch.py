"""A branch: a log that adds up as `spec/sync.md` wants it, whether or not it is the honest one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from echolia.core import runs
from echolia.core.ids import b64
from echolia.core.positions import LogPosition, log_after
from echolia.core.push import ELIDED, WHOLE, Item, Page
from echolia.hostile.records import Logged


class Branch:
    """Runs behind `base`, renumbered and chained anew; a time that does not follow is moved up."""

    def __init__(self, base: LogPosition, logged: Iterable[Logged]) -> None:
        self._ends = [base]
        self._runs: list[Logged] = []
        self.heads: dict[bytes, Logged] = {}
        for run in logged:
            self._append(run)

    @property
    def head(self) -> LogPosition:
        """Its newest position."""
        return self._ends[-1]

    def _append(self, run: Logged) -> None:
        last_ms = self._runs[-1].received_ms if self._runs else 0
        run = run._replace(received_ms=max(run.received_ms, last_ms + 1))
        header = run.header
        after = log_after(
            self.head, header.count, header.device, header.last, run.chain, run.received_ms
        )  # fmt: skip
        self._runs.append(run)
        self._ends.append(after)
        self.heads[header.device] = run

    def log_at(self, seq: int) -> bytes | None:
        """Its hash at a position where a run ends."""
        return next((end.log for end in self._ends if end.seq == seq), None)

    def page(self, after: int, max_bytes: int, own: bytes) -> Page:
        """What follows a position; the runs of the device `own` elided."""
        items: list[Item] = []
        for before, run, end in zip(self._ends, self._runs, self._ends[1:], strict=False):
            if end.seq <= after:
                continue
            if items and sum(len(item.content) for item in items) + len(run.frame) > max_bytes:
                return Page(True, self.head, items)
            elided = run.header.device == own
            content = run.frame[: runs.RUN_HEADER_BYTES] + run.chain if elided else run.frame
            items.append(Item(before.seq + 1, run.received_ms, ELIDED if elided else WHOLE, content))
        return Page(False, self.head, items)

    def take(self, frame: bytes) -> tuple[Logged | None, dict[str, Any]]:
        """What an honest server makes of a pushed run: what is new of it, and its outcome."""
        header = runs.read_header(frame)
        head = self.heads.get(header.device)
        known = head.header.last if head else 0
        told: dict[str, Any] = {"device": b64(header.device), "first": header.first, "count": header.count}
        if header.first > known + 1:
            return None, {**told, "status": "refused", "code": "run_gap", "expected": known + 1}
        if header.last <= known:
            return None, {**told, "status": "duplicate", "duplicates": header.count}
        repeated = known + 1 - header.first
        if repeated:
            ends = runs.change_ends(frame, header)
            prev = runs.chains(frame, header, ends)[repeated - 1]
            _, frame = runs.without_first(frame, header, ends, repeated, prev)
        return Logged.of(frame, 0), {**told, "status": "stored", "duplicates": repeated}
