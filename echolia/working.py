"""Does the jobs of the directory's table, beside answering: claims one that is due, does it, ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from echolia.core.errors import EcholiaError
from echolia.storage import jobs
from echolia.storage.engine import Database
from echolia.storage.jobs import Handler, Job
from echolia.web.context import Dice, Refusal

# How long a job may take: less than its lease.
LONGEST_S: Final = 60.0
_FENCE_BYTES: Final = 16


@dataclass(slots=True)
class Workshop:
    """Does jobs, one at a time in each process; what it does is done at least once.

    `done`, `failed` and `given_up` count since the process began.
    """

    db: Database
    handlers: Mapping[str, Handler]
    clock_ms: Callable[[], int]
    dice: Dice
    done: int = 0
    failed: int = 0
    given_up: int = 0

    async def begin(self) -> None:
        """Have the jobs there that come again and again. Raises: `StorageError`."""
        now_ms = self.clock_ms()
        standing = [
            jobs.begun(kind, subject, now_ms)
            for kind, handler in self.handlers.items()
            if handler.every_ms is not None
            for subject in handler.standing
        ]
        if standing:
            await self.db.batch(standing)

    async def work(self, every_s: float) -> None:
        """Until it is cancelled: whatever is due, so often; 0: nothing."""
        while every_s:
            try:
                await self.run_due()
            except EcholiaError as error:
                structlog.get_logger().warning("jobs_failed", code=error.code)
            await asyncio.sleep(every_s)

    async def run_due(self) -> int:
        """Do all that is due now; returns how many that were. Raises: `StorageError`."""
        count = 0
        while (job := await jobs.claim(self.db, self.clock_ms(), self.dice(_FENCE_BYTES))) is not None:
            await self._run(job)
            count += 1
        return count

    async def _run(self, job: Job) -> None:
        handler = self.handlers.get(job.kind)
        try:
            if handler is None:  # of a version that is newer than this one
                raise EcholiaError("unavailable")
            async with asyncio.timeout(LONGEST_S):
                await handler.work(job.subject)
        except EcholiaError as error:
            wait_s = error.retry_after_s or 0 if isinstance(error, Refusal) else 0
            await self._fail(job, handler, error.code, wait_s * 1000)
        except TimeoutError:
            await self._fail(job, handler, "unavailable", 0)
        except Exception as error:  # noqa: BLE001  # whatever it was, the others have to be done
            structlog.get_logger().error("job_failed", code="internal", exception=type(error).__name__)
            await self._fail(job, handler, "internal", 0)
        else:
            now_ms = self.clock_ms()
            again_ms = None if handler.every_ms is None else now_ms + handler.every_ms
            await jobs.done(self.db, job, now_ms, again_ms)
            self.done += 1

    async def _fail(self, job: Job, handler: Handler | None, code: str, least_ms: int) -> None:
        self.failed += 1
        forever = handler is None or handler.every_ms is not None
        share = int.from_bytes(self.dice(2), "big") / 65535
        self.given_up += await jobs.failed(
            self.db, job, self.clock_ms(), code, share, least_ms, forever=forever
        )
