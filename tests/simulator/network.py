"""The network between devices and the server: it loses, repeats, delays and so reorders what is said."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from echolia.client.transport import Answer, Request
from echolia.core.errors import EcholiaError
from tests.simulator.disks import Disk
from tests.simulator.server import Server

QUICK_S: Final = 0.05
SLOW_S: Final = 5.0
# A copy that lingers somewhere arrives when everybody has gone on long ago.
LATE_S: Final = 900.0


@dataclass(slots=True)
class Weather:
    """How often each thing befalls an exchange, from 0 to 1."""

    lost_question: float = 0.0
    lost_answer: float = 0.0
    repeated: float = 0.0
    late_copy: float = 0.0
    slow: float = 0.0


class Network:
    """All ways to one server. `seen` is told of each exchange: who asked what, and what came of it."""

    def __init__(
        self,
        server: Server,
        chance: Random,
        tally: Counter[str],
        seen: Callable[[str, Request, Answer | None], None],
    ) -> None:
        self.weather = Weather()
        self._server, self._chance, self._tally, self._seen = server, chance, tally, seen
        self._under_way: set[asyncio.Task[Answer | None]] = set()

    async def ask(self, name: str, request: Request) -> Answer:
        """One exchange of the named device; raises `server_unreachable` where no answer came."""
        self._tally["exchanges"] += 1
        befalls = self._befalls
        if befalls("lost_question"):
            await self._pass()
            raise EcholiaError("server_unreachable")
        delivered = self._send(name, request, self._delay_s())
        copies = [self._delay_s()] if befalls("repeated") else []
        copies += [self._chance.random() * LATE_S] if befalls("late_copy") else []
        for delay_s in copies:
            self._under_way.add(self._send(name, request, delay_s))
        answer = await asyncio.shield(delivered)
        if befalls("lost_answer"):
            await self._pass()
            answer = None
        if answer is None:
            raise EcholiaError("server_unreachable")
        await self._pass()
        return answer

    async def emptied(self) -> None:
        """Return once nothing is under way any more."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _befalls(self, what: str) -> bool:
        happens = self._chance.random() < float(getattr(self.weather, what))
        if happens:
            self._tally[f"fault: {what}"] += 1
        return happens

    def _delay_s(self) -> float:
        return self._chance.random() * (SLOW_S if self._befalls("slow") else QUICK_S)

    async def _pass(self) -> None:
        await asyncio.sleep(self._chance.random() * QUICK_S)

    def _send(self, name: str, request: Request, delay_s: float) -> asyncio.Task[Answer | None]:
        """It reaches the server whatever becomes of who sent it."""
        task = asyncio.create_task(self._deliver(name, request, delay_s))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _deliver(self, name: str, request: Request, delay_s: float) -> Answer | None:
        await asyncio.sleep(delay_s)
        answer = None
        try:
            answer = await self._server.ask(request)
        except EcholiaError as error:
            assert error.code == "server_unreachable"  # noqa: PT017  # any other comes as an answer
        self._seen(name, request, answer)
        return answer


class Line:
    """The `Transport` of one process on one device; `cut` (offline) asks nobody."""

    def __init__(self, name: str, network: Network, disk: Disk) -> None:
        self.cut = False
        self._name, self._network, self._disk = name, network, disk

    async def ask(self, request: Request) -> Answer:
        """See `Transport.ask`."""
        self._disk.alive()
        if self.cut:
            raise EcholiaError("server_unreachable")
        try:
            return await self._network.ask(self._name, request)
        finally:
            self._disk.alive()  # whoever has ended meanwhile hears nothing

    async def lines(self, request: Request) -> AsyncIterator[str]:
        """See `Transport.lines`; here devices sync when they are told to."""
        raise EcholiaError("server_unreachable")
        yield ""

    async def pieces(self, request: Request) -> AsyncGenerator[Answer | bytes, None]:
        """See `Transport.pieces`; here devices ask no models."""
        raise EcholiaError("server_unreachable")
        yield b""

    async def close(self) -> None:
        """See `Transport.close`."""
