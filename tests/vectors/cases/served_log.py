"""The log as a server would keep it, for the vectors of pushes and pages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tests.vectors import reference as ref
from tests.vectors.reference import Run, Seen
from tests.vectors.world import ACCOUNT, EPOCH

START_MS = 1_700_000_000_000


@dataclass(frozen=True)
class Stored:
    """A run in the log: its first position, when it came, the log's hash after it."""

    run: Run
    seq: int
    received_ms: int
    log: bytes

    @property
    def end(self) -> int:
        """The last position it takes."""
        return self.seq + len(self.run.changes) - 1

    def item(self, form: int = 0, content: bytes | None = None) -> bytes:
        """The run as a page carries it, whole unless `content` says otherwise."""
        return ref.item(self.seq, self.received_ms, form, self.run.frame if content is None else content)


@dataclass(frozen=True)
class Log:
    """An account's log; `then` gives the next one."""

    stored: tuple[Stored, ...] = ()
    epoch: int = EPOCH

    @property
    def head(self) -> Seen:
        """Epoch, position and hash after the last run."""
        if not self.stored:
            return (self.epoch, 0, ref.log_start(ACCOUNT, self.epoch))
        return (self.epoch, self.stored[-1].end, self.stored[-1].log)

    def then(self, run: Run, received_ms: int | None = None) -> Log:
        """The log with one more run, received a second after the last unless told otherwise."""
        if received_ms is None:
            received_ms = self.stored[-1].received_ms + 1000 if self.stored else START_MS
        _, seq, before = self.head
        log = ref.log_link(before, seq + 1, run, received_ms)
        return replace(self, stored=(*self.stored, Stored(run, seq + 1, received_ms, log)))

    def page(self, start: int = 0, stop: int | None = None) -> bytes:
        """The page of the runs from one (counted from 0) to before another, all whole."""
        served = self.stored[start:stop]
        more = int(bool(self.stored) and stop is not None and stop < len(self.stored))
        return ref.page(self.head, [each.item() for each in served], more)


def log_of(*runs: Run) -> Log:
    """A log of these runs."""
    log = Log()
    for run in runs:
        log = log.then(run)
    return log


def heads(*runs: Run) -> list[dict[str, Any]]:
    """The newest change of each device in these runs, sorted by device."""
    newest = {run.name: {"device": run.name, "counter": run.last, "chain": run.chains[-1]} for run in runs}
    return [newest[device] for device in sorted(newest)]


def rest(run: Run, known: int) -> Run:
    """A run less its first changes, signature kept."""
    prev = run.chains[known - 1]
    return replace(run, first=run.first + known, changes=run.changes[known:], prev=prev, signature=run.signed)


def position(seen: Seen) -> dict[str, Any]:
    """A position as vectors give it."""
    return dict(zip(("epoch", "seq", "log"), seen, strict=True))
