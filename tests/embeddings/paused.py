"""An engine that embeds when it is told to, so that a test decides what waits."""

from __future__ import annotations

import asyncio
import os
from array import array
from collections.abc import Callable, Sequence
from threading import Event, Lock

from echolia.engines.deterministic import DeterministicEngine
from echolia.engines.port import Model, Tokens


class PausedEngine:
    """See `port.Engine`; `go` lets it embed. `calls` are what it was given, in order.

    It fails if it `fails`, or where one of `fails_on` is in a call.
    """

    def __init__(self) -> None:
        self._inner = DeterministicEngine()
        self._lock = Lock()
        self.model: Model = self._inner.model
        self.go = Event()
        self.fails = False
        self.fails_on: list[Tokens] = []
        self.calls: list[list[Tokens]] = []
        self.nice: set[int] = set()  # of the threads that called it

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """See `Engine.tokens`."""
        return self._inner.tokens(texts)

    def embed(self, windows: Sequence[Tokens]) -> list[array[float]]:
        """See `Engine.embed`."""
        with self._lock:
            self.calls.append(list(windows))
            self.nice.add(os.getpriority(os.PRIO_PROCESS, 0))
        self.go.wait()
        if self.fails or any(window in self.fails_on for window in windows):
            raise RuntimeError("a model that fails, and says a kanarienvogel")
        return self._inner.embed(windows)


async def until(condition: Callable[[], bool]) -> None:
    """Give other tasks and threads their turn until it holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # what is waited for happens in a thread
            await asyncio.sleep(0)
