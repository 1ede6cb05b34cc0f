"""One world: a server, the devices of one person, and all that befalls them until they come to rest."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Final

from echolia.client import Device, EcholiaError
from echolia.client.transport import Answer, Request
from tests.simulator import faults, pairing
from tests.simulator.crashes import Crashed
from tests.simulator.edits import Edits, vector_of, wrong_on
from tests.simulator.machines import Machine
from tests.simulator.network import Network, Weather
from tests.simulator.server import Server
from tests.support.devices import SERVER
from tests.support.server import START_S

_MOST_ROUNDS: Final = 8
# Their bytes hold a box that libsodium seals with chance of its own.
_SEALED_BY_CHANCE: Final = (
    "/auth/register", "/auth/devices", "/auth/rotate", "/auth/key-boxes", "/auth/recovery",
    "/auth/recovery/devices", "/confirm",
)  # fmt: skip


class Broken(AssertionError):
    """A promise was broken."""


@dataclass(slots=True)
class Trace:
    """Everything that happened, as one hash and (with `say`) as lines; equal seeds have equal hashes."""

    say: Callable[[str], None] | None = None
    digest: str = ""
    last: list[str] = field(default_factory=list)

    def note(self, line: str, content: bytes = b"") -> None:
        """One more thing happened."""
        self.digest = sha256(self.digest.encode() + line.encode() + content).hexdigest()
        self.last = [*self.last[-19:], line]
        if self.say is not None:
            self.say(line)


class World:
    """Everything of one seed. `run` is its life; `tally` counts what happened."""

    def __init__(self, seed: int, folder: Path, say: Callable[[str], None] | None = None) -> None:
        random.seed(seed)  # what the server names requests by
        self.seed, self.folder, self.chance = seed, folder, Random(seed)
        self.tally: Counter[str] = Counter()
        self.trace = Trace(say)
        self._named, self._progress = 0, 0
        self.leap_s = 0.0
        self.server_skew_s = 0.0
        self.server = Server(folder / "server", self._server_s, Random(f"{seed} server"))
        self.network = Network(self.server, Random(f"{seed} network"), self.tally, self._exchanged)
        self.edits = Edits(Random(f"{seed} edits"), lambda: int(self.now_s() * 1000))
        self.machines: list[Machine] = []
        # The codes that work may end by and be tried again later.
        self.passing = {"server_unreachable", "pairing_failed", "pairing_expired"}
        # Devices of which not every change counts, or not everywhere: revoked, put back, cloned.
        self.doubtful: set[bytes] = set()
        self.forked: set[bytes] = set()
        self.restored = False
        self.table = faults.for_this_world(self.chance)
        self.backed_up_s: dict[Path, float] = {}
        self.pairing: asyncio.Task[None] | None = None
        # The 24 words, as far as the person has them: somebody may be about to replace them.
        self.phrase = ""
        self.failed_requests: list[str] = []

    async def run(self, steps: int) -> None:
        """Live for so many steps, come to rest; what must hold then is for `oracles` to say."""
        await self.server.start()
        await self._gather()
        self.network.weather = _weather(self.chance)
        for _ in range(steps):
            await self._step()
        await self.rest()

    async def end(self) -> None:
        """Close whatever is open, however it came to this."""
        self.server.disk.crash_at(0, after=False)
        for machine in self.machines:
            if machine.process is not None:
                await machine.kill()
        await self.server.end()

    def now_s(self) -> float:
        """The true time in Unix seconds."""
        return START_S + asyncio.get_running_loop().time() + self.leap_s

    def new_machine(self) -> Machine:
        """A machine without a home, not yet among the others."""
        self._named += 1
        name = f"m{self._named}"
        return Machine(name, self, Random(f"{self.seed} {name}"))

    def running(self) -> list[Machine]:
        """The machines whose process runs and that nothing has put an end to."""
        return [machine for machine in self.machines if machine.process is not None and not machine.fate]

    def note(self, line: str) -> None:
        """Tell what happens."""
        self.trace.note(f"{asyncio.get_running_loop().time():12.3f} {line}")

    # --- a step ---

    async def _step(self) -> None:
        await asyncio.sleep(self.chance.choice([0, 0.001, 0.03, 0.3, 2]))
        self.raise_what_went_wrong()
        running = self.running()
        if not running:
            return
        machine = self.chance.choice(running)
        what = self.chance.random()
        if what < 0.6:
            await self._edit(machine)
        elif what < 0.85:
            self.sync(machine)
        else:
            await faults.befall(self, machine)

    async def _edit(self, machine: Machine) -> None:
        assert machine.process is not None, "it runs"
        device, events = machine.process.device, len(self.edits.expected.all)
        try:
            done = await self.edits.make(device)
        except Crashed:
            done = "crashed"
        self.tally["edits"] += 1
        self.note(f"{machine.name} {done}")
        for event in self.edits.expected.since(events):
            if event.device not in self.doubtful and machine.process is not None:
                self._check_read(machine, device, event.object)

    def _check_read(self, machine: Machine, device: Device, id_: str) -> None:
        if any(event.device in self.doubtful for event in self.edits.expected.by_object[id_]):
            return
        known = self.edits.expected.known(id_, vector_of(device, id_))
        if wrong := wrong_on(device, self.edits.expected, id_, known):
            raise Broken(f"{machine.name} reads {id_} after an edit: {'; '.join(wrong)}")

    def sync(self, machine: Machine) -> None:
        """Begin a sync, unless one is under way."""
        assert machine.process is not None, "it runs"
        process = machine.process
        if process.syncing is None or process.syncing.done():
            self.tally["syncs"] += 1
            self.note(f"{machine.name} syncs")
            process.syncing = machine.begin(partial(self._synced, machine, process.device))

    async def _synced(self, machine: Machine, device: Device) -> None:
        try:
            report = await device.sync()
        except EcholiaError as error:
            self.note(f"{machine.name} sync: {error}")
            raise
        self.note(f"{machine.name} sync: pushed {report.pushed}, pulled {report.pulled}, at {report.seq}")

    def raise_what_went_wrong(self) -> None:
        """Raise what happened besides and must not have."""
        for machine in self.machines:
            if machine.wrong is not None:
                raise Broken(f"{machine.name}: {machine.wrong!r}") from machine.wrong
        if self.pairing is not None and self.pairing.done():
            self.pairing.result()
        if self.failed_requests:
            raise Broken(f"the server failed at {self.failed_requests}")

    def of_device(self, id_: str) -> list[Machine]:
        """The machines that run this device: one, unless its home was cloned."""
        return [one for one in self.machines if one.device_id == id_]

    def _under_way(self) -> list[asyncio.Task[None]]:
        tasks = [task for machine in self.machines for task in machine.under_way()]
        return tasks if self.pairing is None or self.pairing.done() else [*tasks, self.pairing]

    # --- the beginning and the end ---

    async def _gather(self) -> None:
        """The first devices, in calm weather."""
        first = self.new_machine()
        disk = first.new_disk()
        around = first.around(disk)
        device, self.phrase = await Device.init(first.folder, SERVER, **around)
        await device.phrase_kept()
        first.runs(device, disk, around["transport"])
        self.machines.append(first)
        for _ in range(self.chance.randrange(1, 4)):
            await pairing.pair(self, first, perils=False)
        self.raise_what_went_wrong()

    async def rest(self) -> None:
        """Let all that befalls them end, and everybody sync until there is nothing to do."""
        self.network.weather = Weather()
        self.server.disk.crash_at(0, after=False)
        self.server.disk.full = False
        await self.server.settled()
        if self.server.limits:
            self.server.limits = {}
            await self.server.stop()
            await self.server.start()
        for machine in self.machines:
            machine.calm()
        while under_way := self._under_way():
            await asyncio.wait(under_way)
        for machine in self.machines:
            machine.calm()  # who has joined meanwhile, too
        await self.network.emptied()
        self.raise_what_went_wrong()
        self.passing.clear()
        # What a server did not take is not sent again at once, and a full one looks about only now and then.
        self.leap_s += 2 * 3600
        await asyncio.sleep(120)
        for machine in self.machines:
            if machine.process is None:
                await machine.start()
        for _ in range(_MOST_ROUNDS):
            if not await self._round():
                return
        raise Broken(f"after {_MOST_ROUNDS} rounds of syncing there is still something to do")

    async def _round(self) -> bool:
        """Everybody syncs once; whether anything happened."""
        before = self._progress
        for machine in self.running():
            assert machine.process is not None, "it runs"
            self.tally["syncs"] += 1
            await machine.begin(partial(self._last_sync, machine, machine.process.device))
            self.raise_what_went_wrong()
        return self._progress != before

    async def _last_sync(self, machine: Machine, device: Device) -> None:
        at = (await device.status()).seq
        report = await device.sync()
        if report.pushed or report.pulled or report.seq != at:
            self._progress += 1
        self.note(f"{machine.name} last sync: {report.pushed}, {report.pulled}, at {report.seq}")

    # --- what is around ---

    def _server_s(self) -> float:
        return self.now_s() + self.server_skew_s

    def _exchanged(self, name: str, request: Request, answer: Answer | None) -> None:
        told = answer.status if answer is not None else "-"
        if told == 500:
            self.failed_requests.append(f"{request.method} {request.path}")
        line = f"{asyncio.get_running_loop().time():12.3f}   {name} {request.method} {request.path}: {told}"
        by_chance = request.path.endswith(_SEALED_BY_CHANCE)
        content = b"" if by_chance or answer is None else request.body + answer.body
        self.trace.note(line, content)


def _weather(chance: Random) -> Weather:
    """Each world has its own."""
    return Weather(*(chance.choice([0, 0.01, 0.05, 0.15]) for _ in range(5)))
