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
from echolia.engines.batches import SHARED_TOKENS, first_batch, most_windows
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

    @property
    def length(self) -> int:
        """The length that the next of what waits is computed with."""
        return self.laid.lengths[self.waiting[0]]

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


class Part(NamedTuple):
    """Windows of one job that are computed at once: their numbers in it."""

    job: Job
    numbers: list[int]

    @property
    def windows(self) -> list[Tokens]:
        """Their tokens."""
        return [self.job.laid.windows[number] for number in self.numbers]


Batch = list[Part]


class Backlog:
    """Up to `most` windows wait, half of them of one account.

    Accounts take turns, and so do the jobs of an account; a turn is one batch. What room it leaves is filled
    by windows of the same length that wait, whosever they are. Safe for several threads.
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
            self._changed.notify(count)

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
        length = job.length
        batch = [self._taken(job, first_batch([job.laid.lengths[number] for number in job.waiting]))]
        if job.waiting:
            own.append(job)
        if own:
            self._turns.append(account)
        else:
            del self._jobs[account]
        self._fill(batch, length)
        return batch

    def _fill(self, batch: Batch, length: int) -> None:
        """Take from others, in the order of their turns, what is of this length, as far as there is room."""
        room = most_windows(length, SHARED_TOKENS) - len(batch[0].numbers)
        for account in list(self._turns):
            own = self._jobs[account]
            for job in [job for job in own if job.length == length]:
                if room <= 0:
                    return
                lengths = [job.laid.lengths[number] for number in job.waiting]
                part = self._taken(job, min(room, first_batch(lengths)))
                batch.append(part)
                room -= len(part.numbers)
                if not job.waiting:
                    own.remove(job)
            if not own:
                del self._jobs[account]
                self._turns.remove(account)

    def _taken(self, job: Job, count: int) -> Part:
        self.waiting -= count
        return Part(job, [job.waiting.popleft() for _ in range(count)])
