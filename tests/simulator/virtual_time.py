"""An event loop that never waits and has no threads: with nothing left to do it is the next timer's time.

So hours pass in milliseconds, and a program with one seed does the same things in the same order every time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack

from echolia.storage.sqlite.threads import Unit
from tests.simulator.crashes import Crashed

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class NeverEnds(Exception):
    """Nothing is left to do and no timer runs, or time goes on without end: something waits in vain."""


class _NoFiles(selectors.BaseSelector):
    """A selector of no files: instead of waiting it lets the time pass that it was to wait."""

    def __init__(self, most_s: float) -> None:
        self.now_s = 0.0
        self._most_s = most_s
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Only the loop's own pipe comes, and nobody writes to it."""
        handle = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = self._keys[fileobj] = selectors.SelectorKey(fileobj, handle, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """See `register`."""
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let the time pass at once."""
        if timeout is None or self.now_s > self._most_s:
            raise NeverEnds
        self.now_s += max(timeout, 0.0)
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """The loop's pipe."""
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time is virtual seconds since its start; beyond `most_s` of them it raises `NeverEnds`."""

    def __init__(self, most_s: float = 30 * 86_400.0) -> None:
        self._instants = _NoFiles(most_s)
        super().__init__(self._instants)
        self.complaints: list[str] = []
        self.set_exception_handler(self._complained)

    def time(self) -> float:
        """The virtual time in seconds."""
        return self._instants.now_s

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Arguments]], T], *args: *Arguments
    ) -> asyncio.Future[T]:
        """Run it here and now; the outcome arrives a moment later, as a thread's would."""
        future: asyncio.Future[T] = self.create_future()
        try:
            self.call_soon(_deliver, future.set_result, future, func(*args))
        except BaseException as error:  # noqa: BLE001  # whoever waits for it gets it
            self.call_soon(_deliver, future.set_exception, future, error)
        return future

    def _complained(self, _: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        if isinstance(context.get("exception"), Crashed):
            return  # what a process did besides ends with it, and nobody is left to take notice
        self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")


def _deliver(settle: Callable[[Any], None], future: asyncio.Future[Any], outcome: Any) -> None:
    if not future.done():
        settle(outcome)


class Inline:
    """The storage's `Workers` without threads; a unit of work that was begun cannot be stopped."""

    async def run(self, work: Callable[[Unit[T]], T], interrupt: Callable[[], None] = lambda: None) -> T:
        """See `Workers.run`."""
        return work(Unit(work, asyncio.get_running_loop()))

    async def close(self) -> None:
        """See `Workers.close`."""


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run it to its end on a loop of its own; raises what it raises, and for what nobody took notice of."""
    loops: list[VirtualLoop] = []

    def made() -> VirtualLoop:
        loops.append(VirtualLoop())
        return loops[-1]

    with asyncio.Runner(loop_factory=made) as runner:
        result = runner.run(main)
    if loops[0].complaints:
        raise AssertionError("; ".join(loops[0].complaints))
    return result
