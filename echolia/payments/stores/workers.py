"""Threads for libraries that block: a bounded number of them, of what waits for them, and of the wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import TypeVar

from echolia.payments.stores.unavailable import StoreUnavailable

T = TypeVar("T")


class Workers:
    """`threads` that work while at most `waiting` pieces of work wait or run, each at most `timeout_s`."""

    def __init__(self, name: str, threads: int, waiting: int, timeout_s: float) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._room = BoundedSemaphore(waiting)
        self._timeout_s = timeout_s

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` gives, or raises. Raises: `StoreUnavailable` where there is no room, or in time no end.

        A thread cannot be stopped: work that took too long keeps its room until it ends.
        """
        if not self._room.acquire(blocking=False):
            raise StoreUnavailable("overloaded")
        future = self._pool.submit(work)
        future.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            pass
        raise StoreUnavailable("timeout")

    def _ended(self, _future: Future[T]) -> None:
        self._room.release()

    def close(self) -> None:
        """Take no more work; what is under way is let end."""
        self._pool.shutdown(wait=False, cancel_futures=True)
