"""Threads that embed what waits, one call of one core each; and one that reads texts into tokens."""

from __future__ import annotations

import asyncio
import os
import sys
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Thread, get_native_id
from typing import Final

import structlog

from echolia.embeddings.backlog import Backlog, Batch
from echolia.engines.port import Engine
from echolia.engines.whole_texts import Laid, lay

# How far the threads that embed stand back: what answers requests takes a moment, a call of theirs long.
NICE: Final = 10
# Characters that are read sooner than a thread has begun to.
_SHORT: Final = 400


class Workers:
    """`threads` of them, from when this is made until `close`."""

    def __init__(self, engine: Engine, backlog: Backlog, threads: int) -> None:
        self.engine = engine
        self._backlog = backlog
        # Reading takes far less than embedding; one thread keeps what is long from the loop.
        self._reading = ThreadPoolExecutor(1, "echolia-tokens")
        self._threads = [
            Thread(target=self._work, name=f"echolia-embeds-{n}", daemon=True) for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def lay(self, texts: Sequence[str]) -> Laid:
        """The texts' windows. Raises: `embedding_too_long`."""
        if sum(map(len, texts)) <= _SHORT:
            return lay(self.engine, texts)
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
        if sys.platform == "linux":  # elsewhere this would be another process' number
            os.setpriority(os.PRIO_PROCESS, get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + NICE)
        while self._took():  # a call of its own, so that a thread that waits keeps no texts alive
            pass

    def _took(self) -> bool:
        batch = self._backlog.take()
        wanted = [part for part in batch or () if not part.job.vectors.done()]
        if wanted:
            self._embed(wanted)
        return batch is not None

    def _embed(self, batch: Batch) -> None:
        try:
            vectors = iter(self.engine.embed([window for part in batch for window in part.windows]))
            found = [list(islice(vectors, len(part.numbers))) for part in batch]
        except Exception as error:  # noqa: BLE001  # whatever it was, who asks is told, and the thread goes on
            if len(batch) > 1:  # nobody fails for what somebody else brought
                for part in batch:
                    self._embed([part])
                return
            structlog.get_logger().error("failure", code="internal", exception=type(error).__name__)
            self._backlog.drop(batch[0].job)
            _on_loop(batch, lambda: batch[0].job.fail("internal"))
            return
        _on_loop(batch, lambda: _take_in(batch, found))


def _take_in(batch: Batch, found: Sequence[Sequence[array[float]]]) -> None:
    for part, vectors in zip(batch, found, strict=True):
        part.job.take_in(part.numbers, vectors)


def _on_loop(batch: Batch, what: Callable[[], None]) -> None:
    batch[0].job.vectors.get_loop().call_soon_threadsafe(what)
