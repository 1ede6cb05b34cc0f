"""A few threads that run whole units of work for the event loop, and never leave one behind unattended.

An executor of the standard library costs about 25 µs more a hop (a lock and two futures for each unit), and
forgets a running unit when its caller is cancelled; the databases need to know when it has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Generic, Protocol, TypeVar

from echolia.storage.engine import StorageError

T = TypeVar("T")
INTERRUPT_EVERY_S = 0.02


class Unit(Generic[T]):
    """One unit of work on its way through a thread; `stop` asks it to end early."""

    __slots__ = ("ended", "future", "loop", "settled", "stop", "work")

    def __init__(self, work: Callable[[Unit[T]], T], loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.loop = loop
        self.future: asyncio.Future[T] = loop.create_future()
        self.stop = False
        self.settled = False
        self.ended: asyncio.Event | None = None

    def settle(self, value: T | None, failure: BaseException | None) -> None:
        """Hand the outcome over; runs on the event loop."""
        self.settled = True
        if self.ended is not None:
            self.ended.set()
        if self.future.done():
            return
        if failure is not None:
            self.future.set_exception(failure)
        else:
            self.future.set_result(value)  # type: ignore[arg-type]  # None only where T allows it

    async def drain(self, interrupt: Callable[[], None]) -> None:
        """Wait for the abandoned unit to end, interrupting it repeatedly: one call can come too early."""
        self.stop = True
        self.ended = asyncio.Event()
        while not self.settled:
            interrupt()
            try:
                async with asyncio.timeout(INTERRUPT_EVERY_S):
                    await self.ended.wait()
            except (TimeoutError, asyncio.CancelledError):
                continue  # a further cancellation changes nothing: the unit has to end first


class Workers(Protocol):
    """What runs units of work: `Threads`, or a simulation's own, which lets nothing run beside anything."""

    async def run(self, work: Callable[[Unit[T]], T], interrupt: Callable[[], None] = ...) -> T:
        """Run `work` and return its value; cancelled, it raises once the work has ended."""
        ...

    async def close(self) -> None:
        """End after the work begun; further work is refused."""
        ...


class Threads:
    """A fixed number of threads fed from one queue."""

    def __init__(self, count: int) -> None:
        self._queue: SimpleQueue[Unit[object] | None] = SimpleQueue()
        self._closed = False
        self._threads = [
            Thread(target=self._serve, name=f"echolia-storage-{n}", daemon=True) for n in range(count)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[Unit[T]], T], interrupt: Callable[[], None] = lambda: None) -> T:
        """Run `work` in a thread and return its value.

        Cancelled, it sets the unit's `stop`, calls `interrupt` until the work has ended, then raises
        CancelledError whatever came of the work.
        """
        if self._closed:
            raise StorageError("closed")
        unit = Unit(work, asyncio.get_running_loop())
        self._queue.put(unit)  # type: ignore[arg-type]  # the queue does not care what a unit returns
        try:
            return await unit.future
        except asyncio.CancelledError:
            await unit.drain(interrupt)
            raise

    def _serve(self) -> None:
        while (unit := self._queue.get()) is not None:
            value, failure = None, None
            try:
                if not unit.stop:
                    value = unit.work(unit)
            except BaseException as error:  # noqa: BLE001  # whoever waits for the unit gets it
                failure = error
            with suppress(RuntimeError):  # the loop is gone, and with it whoever waited
                unit.loop.call_soon_threadsafe(unit.settle, value, failure)
            del unit, value, failure  # an idle thread must not keep results alive

    async def close(self) -> None:
        """End the threads after the work already queued; further work is refused."""
        if self._closed:
            return
        self._closed = True
        for _ in self._threads:
            self._queue.put(None)
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()
