"""A test that hangs fails by itself and says where each of its tasks waits, so that the run goes on."""

from __future__ import annotations

import asyncio
import io
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Hung(BaseException):
    """Raised in the main thread when the time is over; no `except Exception` on the way takes it."""


def _where_tasks_wait() -> str:
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:
        return "No event loop runs."
    told = io.StringIO()
    for task in tasks:
        task.print_stack(file=told)
    return told.getvalue()


@contextmanager
def told_when_hung(seconds: float) -> Iterator[None]:
    """Raise `Hung` in the block after that many seconds, and again as often, should its cleanup hang as well.

    Only for the main thread, where Python runs handlers of signals.
    """

    def over(_signal: int, _frame: FrameType | None) -> None:
        raise Hung(f"nothing came of it for {seconds:.0f} seconds\n{_where_tasks_wait()}")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
