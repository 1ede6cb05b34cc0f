"""A machine: a folder with a home, a clock that may be wrong, a process that runs the device."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol

from echolia.client import Device, EcholiaError
from echolia.client.environment import Environment
from echolia.core.collections import declare
from tests.simulator.crashes import Crashed
from tests.simulator.disks import Disk
from tests.simulator.network import Line, Network

# `origin` says what an imported object was at its source, and is never edited.
KIT: Final = declare("kit", one="lww", title="multi", tags="set", seen="counter", text="text", origin="lww")
_MOMENT_S: Final = 0.001


@dataclass(slots=True)
class Process:
    """What a machine runs; `work` is everything it does besides edits, its sync among that."""

    disk: Disk
    line: Line
    device: Device
    work: set[asyncio.Task[None]] = field(default_factory=set)
    syncing: asyncio.Task[None] | None = None


class Surroundings(Protocol):
    """What a machine has around it; work may end by the codes in `passing` and be tried again later."""

    folder: Path
    network: Network
    passing: set[str]

    def now_s(self) -> float:
        """The true time in Unix seconds."""
        ...


class Machine:
    """`endings` are codes that may be the end of it, `fate` the one that came, `wrong` what must not be."""

    def __init__(self, name: str, around: Surroundings, chance: Random) -> None:
        self.name, self.folder, self.chance = name, around.folder / name, chance
        self.skew_s, self.offline = 0.0, False
        self.process: Process | None = None
        self._was = ""
        self.endings: set[str] = set()
        self.fate = ""
        self.wrong: Exception | None = None
        self._around = around
        self._starting: asyncio.Task[None] | None = None

    def around(self, disk: Disk) -> dict[str, Any]:
        """What a process of this machine is opened with; its dice go on, so that no nonce comes twice."""
        line = Line(self.name, self._around.network, disk)
        line.cut = self.offline
        environment = Environment(
            lambda: int((self._around.now_s() + self.skew_s) * 1000),
            self.chance.randbytes,
            asyncio.sleep,
            self.chance.random,
            disk.durably,
            checkpoint_changes=10,
            keychain=lambda: None,
        )
        return {"transport": line, "environment": environment, "collections": [KIT]}

    def new_disk(self) -> Disk:
        """The disk of the next process: if it dies, the process is cleared away and another one started."""
        return Disk(self._died)

    def runs(self, device: Device, disk: Disk, line: Line) -> None:
        """This machine's process is that of this device now."""
        self.process = Process(disk, line, device)

    @property
    def device_id(self) -> str:
        """The device of its process, or of the one that it had last."""
        return self._was if self.process is None else self.process.device.id

    async def start(self) -> None:
        """Open the home in a new process."""
        disk = self.new_disk()
        around = self.around(disk)
        self.runs(await Device.open(self.folder, **around), disk, around["transport"])

    async def stop(self) -> None:
        """End the process in order."""
        process = self._taken()
        await _ended(process)
        await process.device.aclose()

    async def kill(self) -> None:
        """End the process at this moment, and leave the home as it is."""
        process = self._taken()
        process.disk.dead = True
        await _ended(process)
        _let_go(process.device)

    def go_offline(self) -> None:
        """Reach nobody until `come_back`."""
        self.offline = True
        if self.process is not None:
            self.process.line.cut = True

    def come_back(self) -> None:
        """Reach the server again."""
        self.offline = False
        if self.process is not None:
            self.process.line.cut = False

    def calm(self) -> None:
        """Nothing befalls this machine any more; its clock stays as wrong as it is."""
        self.come_back()
        if self.process is not None:
            self.process.disk.crash_at(0, after=False)
            self.process.disk.full = False

    def under_way(self) -> list[asyncio.Task[None]]:
        """What the process does besides, and a crash that is being dealt with."""
        work = list(self.process.work) if self.process else []
        return work if self._starting is None or self._starting.done() else [*work, self._starting]

    def begin(self, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Let the process do this besides."""
        process = self._running()
        task = asyncio.create_task(self._judged(work))
        process.work.add(task)
        task.add_done_callback(process.work.discard)
        return task

    def copy_to(self, folder: Path) -> None:
        """Copy the home as it is now."""
        shutil.copytree(self.folder, folder)

    def put_back(self, folder: Path) -> None:
        """Replace the home by a copy; no process runs."""
        shutil.rmtree(self.folder)
        shutil.copytree(folder, self.folder)

    async def _judged(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Crashed:
            return
        except EcholiaError as error:
            if error.code in self.endings:
                self.fate = error.code
            elif error.code not in self._around.passing:
                self.wrong = error
        except Exception as error:  # noqa: BLE001  # whoever looks at the machine next raises it
            self.wrong = error

    def _running(self) -> Process:
        assert self.process is not None, "only a machine that runs is asked"
        return self.process

    def _taken(self) -> Process:
        process, self.process = self._running(), None
        self._was = process.device.id
        return process

    def _died(self) -> None:
        if self.process is not None:
            starting = self._started_again(self._taken())
            self._starting = asyncio.get_running_loop().create_task(starting)

    async def _started_again(self, process: Process) -> None:
        await asyncio.sleep(_MOMENT_S)  # whoever was at it sees what it has come to
        await _ended(process)
        _let_go(process.device)
        await asyncio.sleep(self.chance.random() * 10)
        await self.start()


async def _ended(process: Process) -> None:
    """All that the process did besides has come to an end."""
    while process.work:
        for task in process.work:
            task.cancel()
        await asyncio.wait(process.work)


def _let_go(device: Device) -> None:
    """What the operating system does for a process that ended."""
    device._replica.database.close()
    device._opened.lock.release()
