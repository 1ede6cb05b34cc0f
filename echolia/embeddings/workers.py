"""Threads that embed what waits, one call of one core each; and one that reads texts into tokens."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import structlog

from echolia.embeddings.backlog import Backlog, Batch, Job
from echolia.engines.port import Engine
from echolia.engines.whole_texts import Laid, lay


class Workers:
    """`threads` of them, from when this is made until `close`."""

    def __init__(self, engine: Engine, backlog: Backlog, threads: int) -> None:
        self.engine = engine
        self._backlog = backlog
        # Reading takes far less than embedding; one thread keeps it from the loop.
        self._reading = ThreadPoolExecutor(1, "echolia-tokens")
        self._threads = [
            Thread(target=self._work, name=f"echolia-embeds-{n}", daemon=True) for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def lay(self, texts: Sequence[str]) -> Laid:
        """The texts' windows. Raises: `embedding_too_long`."""
        return await asyncio.get_running_loop().run_in_executor(self._reading, lay, self.engine, texts)

    async def pool(self, laid: Laid, vectors: Sequence[array[float]]) -> list[array[float]]:
        """The texts' vectors."""
        if len(laid.texts) == len(laid.windows):
            return list(vectors)
        return await asyncio.get_running_loop().run_in_executor(self._reading, laid.pooled, vectors)

    async def close(self) -> None:
        """End the threads; who still waits is told `unavailable`."""
        for job in self._backlog.close():
            job.fail("unavailable")
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()
        self._reading.shutdown()

    def _work(self) -> None:
        while (batch := self._backlog.take()) is not None:
            if not batch.job.vectors.done():
                self._embed(batch)

    def _embed(self, batch: Batch) -> None:
        job = batch.job
        try:
            vectors = self.engine.embed(batch.windows)
        except Exception as error:  # noqa: BLE001  # whatever it was, who asks is told, and the thread goes on
            structlog.get_logger().error("failure", code="internal", exception=type(error).__name__)
            self._backlog.drop(job)
            _tell(job, lambda: job.fail("internal"))
            return
        _tell(job, lambda: job.take_in(batch.numbers, vectors))


def _tell(job: Job, what: object) -> None:
    assert callable(what)
    job.vectors.get_loop().call_soon_threadsafe(what)
