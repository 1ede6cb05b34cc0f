"""The threads hand over every outcome, and a cancelled unit of work is waited for."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator
from functools import partial

import pytest

from echolia.storage.sqlite.threads import Threads, Unit


def square(number: int, _: Unit[int]) -> int:
    return number * number


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    """Two threads."""
    threads = Threads(2)
    yield threads
    await threads.close()


async def test_values_and_failures_come_back(threads: Threads) -> None:
    def fail(_: Unit[int]) -> int:
        raise LookupError("seven")

    squares = [threads.run(partial(square, n)) for n in range(50)]
    assert await asyncio.gather(*squares) == [n * n for n in range(50)]
    with pytest.raises(LookupError, match="seven"):
        await threads.run(fail)
    assert await threads.run(lambda _: 1) == 1


async def test_cancelling_waits_for_what_runs(threads: Threads) -> None:
    started, interrupted = threading.Event(), threading.Event()
    ended: list[bool] = []

    def work(unit: Unit[None]) -> None:
        started.set()
        assert interrupted.wait(30)
        ended.append(unit.stop)

    task = asyncio.create_task(threads.run(work, interrupted.set))
    assert await asyncio.to_thread(started.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_cancelling_again_does_not_end_the_waiting(threads: Threads) -> None:
    started, go = threading.Event(), threading.Event()
    ended: list[int] = []

    def work(_: Unit[None]) -> None:
        started.set()
        assert go.wait(30)
        ended.append(1)

    task = asyncio.create_task(threads.run(work))
    assert await asyncio.to_thread(started.wait, 30)
    for _ in range(4):
        task.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [1]


async def test_an_interrupt_that_came_too_early_is_repeated(threads: Threads) -> None:
    interrupts: list[int] = []
    started, enough = threading.Event(), threading.Event()

    def interrupt() -> None:
        interrupts.append(1)
        if len(interrupts) == 4:
            enough.set()

    def work(_: Unit[None]) -> None:
        started.set()
        assert enough.wait(30)

    task = asyncio.create_task(threads.run(work, interrupt))
    assert await asyncio.to_thread(started.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(interrupts) >= 4


async def test_work_cancelled_before_its_turn_never_runs() -> None:
    threads = Threads(1)
    started, go = threading.Event(), threading.Event()
    ran: list[int] = []

    def first(_: Unit[None]) -> None:
        started.set()
        assert go.wait(30)

    busy = asyncio.create_task(threads.run(first))
    assert await asyncio.to_thread(started.wait, 30)
    later = asyncio.create_task(threads.run(lambda _: ran.append(1)))
    await asyncio.sleep(0)
    later.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await later
    await busy
    await threads.close()
    assert ran == []


async def test_an_idle_thread_keeps_no_result(threads: Threads) -> None:
    """The thread lets go a moment after the result is there, so this asks again for a bounded while."""

    class Large:
        pass

    large = await threads.run(lambda _: Large())
    gone = weakref.ref(large)
    del large
    for _ in range(400):
        gc.collect()
        if gone() is None:
            break
        await asyncio.sleep(0.005)
    assert gone() is None


async def test_close_ends_the_threads_after_the_queued_work() -> None:
    before = threading.active_count()
    threads = Threads(3)
    results = [asyncio.create_task(threads.run(partial(square, n))) for n in range(20)]
    await asyncio.sleep(0)
    await threads.close()
    assert await asyncio.gather(*results) == [n * n for n in range(20)]
    assert threading.active_count() <= before + 1  # the thread of asyncio.to_thread may stay
