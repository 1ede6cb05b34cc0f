"""An engine that embeds, and a meter that reserves, when it is told to: a test decides what waits."""

from __future__ import annotations

import asyncio
import os
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any

from echolia.engines.deterministic import DeterministicEngine
from echolia.engines.port import Model, Tokens
from echolia.web.context import Meter, ModelQuota


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


@dataclass
class LateMeter:
    """A meter that reserves when it is told to, and says what is reserved."""

    inner: Meter
    go: asyncio.Event = field(default_factory=asyncio.Event)
    reserved: list[bytes] = field(default_factory=list)

    async def reserve(self, account: bytes, model: str, tokens: int, quota: ModelQuota) -> bytes:
        """See `Meter.reserve`."""
        await self.go.wait()
        self.reserved.append(await self.inner.reserve(account, model, tokens, quota))
        return self.reserved[-1]

    async def settle(
        self, account: bytes, lease: bytes, model: str, tokens: int, status: str, quota: ModelQuota
    ) -> dict[str, Any] | None:
        """See `Meter.settle`."""
        return await self.inner.settle(account, lease, model, tokens, status, quota)

    async def told(self, account: bytes, quota: ModelQuota) -> dict[str, Any]:
        """See `Meter.told`."""
        return await self.inner.told(account, quota)


async def until(condition: Callable[[], bool]) -> None:
    """Give other tasks and threads their turn until it holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # what is waited for happens in a thread
            await asyncio.sleep(0)
