"""What waits to be embedded: bounded, and taken in turns, so that nobody waits for another's long batch."""

from __future__ import annotations

import asyncio
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Condition
from typing import NamedTuple

from echolia.core.errors import EcholiaError
from echolia.engines.batches import first_batch
from echolia.engines.port import Tokens
from echolia.engines.whole_texts import Laid
from echolia.web.context import Refusal

_RETRY_S = 2


@dataclass(eq=False)
class Job:
    """One request's windows; `vectors` is a future of theirs in order, of the loop that made the job."""

    account: bytes
    laid: Laid = field(repr=False)
    vectors: asyncio.Future[list[array[float]]] = field(repr=False)
    waiting: deque[int] = field(default_factory=deque)
    _found: dict[int, array[float]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.waiting.extend(self.laid.by_length())

    def take_in(self, numbers: Sequence[int], vectors: Sequence[array[float]]) -> None:
        """On the loop: these windows are done."""
        self._found.update(zip(numbers, vectors, strict=True))
        count = len(self.laid.windows)
        if len(self._found) == count and not self.vectors.done():
            self.vectors.set_result([self._found[number] for number in range(count)])

    def fail(self, code: str) -> None:
        """On the loop: it will not be done."""
        if not self.vectors.done():
            self.vectors.set_exception(EcholiaError(code))


class Batch(NamedTuple):
    """Windows that are computed at once: their numbers in the job, and their tokens."""

    job: Job
    numbers: list[int]
    windows: list[Tokens]

    def __repr__(self) -> str:
        """Nothing of the texts."""
        return f"Batch({len(self.numbers)})"


class Backlog:
    """Up to `most` windows wait, half of them of one account.

    Accounts take turns, and so do the jobs of an account; a turn is one batch. Safe for several threads.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._changed = Condition()
        self._turns: deque[bytes] = deque()
        self._jobs: dict[bytes, deque[Job]] = {}
        self._closed = False
        self.waiting = 0

    @property
    def half_full(self) -> bool:
        """Whether whoever can do without should."""
        return 2 * self.waiting >= self._most

    def add(self, job: Job) -> None:
        """Let it wait. Raises: `rate_limited` for its account's part, `embeddings_busy`, `unavailable`."""
        count = len(job.waiting)
        with self._changed:
            if self._closed:
                raise EcholiaError("unavailable")
            own = self._jobs.get(job.account, deque())
            held = sum(len(other.waiting) for other in own)
            if held and 2 * (held + count) > self._most:
                raise Refusal("rate_limited", "too much waits to be embedded", retry_after_s=_RETRY_S)
            if self.waiting and self.waiting + count > self._most:
                raise Refusal("embeddings_busy", retry_after_s=_RETRY_S)
            if job.account not in self._jobs:
                self._jobs[job.account] = deque()
                self._turns.append(job.account)
            self._jobs[job.account].append(job)
            self.waiting += count
            self._changed.notify_all()

    def drop(self, job: Job) -> None:
        """Nobody waits for it any more."""
        with self._changed:
            own = self._jobs.get(job.account)
            if own is not None and job in own:
                own.remove(job)
                self.waiting -= len(job.waiting)
                if not own:
                    del self._jobs[job.account]
                    self._turns.remove(job.account)

    def take(self) -> Batch | None:
        """The batch whose turn it is, as soon as there is one; None once this is closed."""
        with self._changed:
            while not self._turns and not self._closed:
                self._changed.wait()
            return None if self._closed else self._next()

    def close(self) -> list[Job]:
        """End all `take`s; gives the jobs that still waited."""
        with self._changed:
            self._closed = True
            left = [job for jobs in self._jobs.values() for job in jobs]
            self._turns.clear()
            self._jobs.clear()
            self.waiting = 0
            self._changed.notify_all()
            return left

    def _next(self) -> Batch:
        account = self._turns.popleft()
        own = self._jobs[account]
        job = own.popleft()
        tokens = job.laid.windows
        count = first_batch([len(tokens[number]) for number in job.waiting])
        numbers = [job.waiting.popleft() for _ in range(count)]
        self.waiting -= count
        if job.waiting:
            own.append(job)
        if own:
            self._turns.append(account)
        else:
            del self._jobs[account]
        return Batch(job, numbers, [tokens[number] for number in numbers])
