"""The one server: the real one on a folder, started, stopped, crashed between two commits, put back."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from echolia.app import running
from echolia.client.transport import Answer, Request
from echolia.core.errors import EcholiaError
from echolia.restoring import restored
from tests.simulator.crashes import Crashed
from tests.simulator.disks import Disk, ServerDriver
from tests.support.asgi import Asker
from tests.support.devices import answered
from tests.support.server import settings_for

# Longer than a guest may wait for the other side's message.
ANSWER_S = 60.0


class Server:
    """`clock` is its time in Unix seconds. A crash is followed by a new start after a while."""

    def __init__(self, folder: Path, clock: Callable[[], float], chance: Random) -> None:
        self.folder, self.disk = folder, Disk()
        # Settings of the next process beside the usual ones.
        self.limits: dict[str, int] = {}
        self._clock, self._chance = clock, chance
        self._ask: Asker | None = None
        self._ending = asyncio.Event()
        self._process: asyncio.Task[None] | None = None
        self._requests: set[asyncio.Task[Answer]] = set()
        self._down: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start a process."""
        self.disk, self._ending = Disk(self._died), asyncio.Event()
        started: asyncio.Future[Asker] = asyncio.get_running_loop().create_future()
        self._process = asyncio.create_task(self._run(started, self.disk, self._ending))
        self._ask = await started

    async def stop(self) -> None:
        """End the process in order; one that crashes over it is started again, and ended."""
        crashed = True
        while crashed:
            assert self._process is not None
            disk, self._ask = self.disk, None
            self._ending.set()
            await self._process
            crashed = disk.dead
            await self.settled()

    async def end(self) -> None:
        """Stop, however things stand."""
        await self.settled()
        if self._process is not None and not self._process.done():
            await self.stop()

    async def settled(self) -> None:
        """Return once no crash is being dealt with."""
        while self._down is not None and not self._down.done():
            await asyncio.shield(self._down)

    async def ask(self, request: Request) -> Answer:
        """Its answer; raises `server_unreachable` where it is down, or goes down over it."""
        asker, disk = self._ask, self.disk
        if asker is None or disk.dead:
            raise EcholiaError("server_unreachable")
        task = asyncio.create_task(answered(asker, request))
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
        await asyncio.wait([task])
        if disk.dead or task.cancelled():
            if not task.cancelled():
                task.exception()  # taken notice of
            raise EcholiaError("server_unreachable")
        return task.result()

    def copy_to(self, folder: Path) -> None:
        """Back the data up as it is now: between two units of work it is whole."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("*.sock"))

    async def put_back(self, folder: Path) -> None:
        """Replace the data of a stopped server by a backup, as the operator's guide says."""
        shutil.rmtree(self.folder)
        shutil.copytree(folder, self.folder)
        driver = ServerDriver(Disk(), self._chance)
        await restored(self.folder, None, lambda _done, _of: None, driver, self._chance.randbytes)

    async def _run(self, started: asyncio.Future[Asker], disk: Disk, ending: asyncio.Event) -> None:
        settings = settings_for(self.folder, access_token_seconds=3600, **self.limits)
        driver = ServerDriver(disk, self._chance)
        try:
            async with running(settings, self._clock, dice=self._chance.randbytes, driver=driver) as gate:
                started.set_result(Asker(gate, answer_s=ANSWER_S))
                await ending.wait()
                gate.end()
                if self._requests:
                    await asyncio.wait(self._requests)
        except Crashed:
            assert started.done(), "no crash is planned for a start"

    def _died(self) -> None:
        self._down = asyncio.get_running_loop().create_task(self._buried())

    async def _buried(self) -> None:
        self._ask = None
        for request in tuple(self._requests):
            request.cancel()
        while self._requests:
            await asyncio.wait(self._requests)
        self._ending.set()
        if self._process is not None:
            await asyncio.wait([self._process])
        await asyncio.sleep(self._chance.random() * 10)
        await self.start()
