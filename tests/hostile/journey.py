"""A journey under an attack: three devices of one account that write all the while, and a stranger."""

from __future__ import annotations

import asyncio
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from echolia.client import Device, EcholiaError, SpliceText
from echolia.client.transport import Answer, Request, Transport
from echolia.hostile import Attack, HostileTransport, Operator
from tests.client.test_convergence import states
from tests.support.devices import World
from tests.support.server import Clock, served

NAMES = ("laptop", "phone", "tablet")
STRANGER = "stranger"
SHARED = "ab" * 16
# Access tokens live for 15 minutes: after this long everybody has to get new ones.
A_WHILE_S = 1_000


class Heard(HostileTransport):
    """A hostile transport that remembers what its device was answered."""

    def __init__(self, honest: Transport, operator: Operator) -> None:
        super().__init__(honest, operator)
        self.asked = 0
        self.answers: set[bytes] = set()

    async def ask(self, request: Request) -> Answer:
        """See `Transport.ask`."""
        self.asked += 1
        answer = await super().ask(request)
        self.answers.add(answer.body)
        return answer


@dataclass
class HostileWorld(World):
    """A world whose server has an operator."""

    operator: Operator = field(default_factory=lambda: Operator(Random("operator").randbytes))
    heard: dict[str, Heard] = field(default_factory=dict)

    def around(self, name: str, skew_ms: int = 0, seed: int | str = "") -> dict[str, Any]:
        """See `World.around`."""
        around = super().around(name, skew_ms, seed)
        self.heard[name] = Heard(around["transport"], self.operator)
        return {**around, "transport": self.heard[name]}

    async def opened(self, name: str, seed: str) -> Device:
        """A device whose home is there already."""
        device = await Device.open(self.folder / name, **self.around(name, seed=f"{name} {seed}"))
        self.stack.push_async_callback(device.aclose)
        return device


def prepared(folder: Path) -> None:
    """Make a server's data and the homes of three devices and a stranger, to be copied for each journey."""

    async def prepare() -> None:
        clock = Clock()
        async with served(folder / "server", clock) as ask, AsyncExitStack() as stack:
            world = HostileWorld(ask, clock, folder, stack)
            laptop = await world.first()
            devices = [laptop, await world.added(laptop), await world.added(laptop, "tablet")]
            stranger = await world.first(STRANGER)
            await laptop.collection("entries").create({"title": "shared", "body": "shared"}, id=SHARED)
            for device in (*devices, stranger):
                await device.collection("entries").create({"title": f"first of {device.id}"})
            for device in (*devices, stranger, *devices):
                await device.sync()

    asyncio.run(prepare())


@asynccontextmanager
async def copied(prepared_: Path, folder: Path) -> AsyncIterator[HostileWorld]:
    """The prepared world again, in a folder of its own."""
    shutil.copytree(prepared_, folder, dirs_exist_ok=True)
    clock = Clock()
    clock.pass_s(60)
    async with served(folder / "server", clock) as ask, AsyncExitStack() as stack:
        yield HostileWorld(ask, clock, folder, stack)


@dataclass
class Journey:
    """Devices by name, what each wrote and showed, and how their syncs ended.

    `out` are devices that were revoked, `disowned` words that nobody has to show any more, `others_words`
    those that `write` did not write; `lies` is how many answers the attack changed, `in_time` who caught it.
    """

    world: HostileWorld
    chance: Random
    devices: dict[str, Device] = field(default_factory=dict)
    wrote: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    showed: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    errors: set[tuple[str, str]] = field(default_factory=set)
    lies: int = 0
    in_time: set[str] = field(default_factory=set)
    out: set[str] = field(default_factory=set)
    disowned: set[str] = field(default_factory=set)
    others_words: set[str] = field(default_factory=set)

    @property
    def members(self) -> list[str]:
        """The account's devices by name, in the order in which they came."""
        return [name for name in self.devices if name != STRANGER]

    async def begin(self) -> None:
        """Open everybody's home; each has something unsent."""
        for name in (*NAMES, STRANGER):
            self.devices[name] = await self.world.opened(name, str(self.chance.random()))
        for name in self.members:
            self.others_words |= await shown(self.devices[name])
            await self.write(name)

    async def write(self, name: str) -> None:
        """One edit of a kind that no other edit undoes."""
        entries, word = self.devices[name].collection("entries"), f"{name}{len(self.wrote[name])}"
        self.wrote[name].add(word)
        self.world.pass_s(self.chance.random())
        if self.chance.random() < 0.5 or SHARED not in {one.id for one in await entries.list(limit=1_000)}:
            await entries.create({"title": word})
        else:
            await entries.update(SHARED, {"body": [SpliceText(0, 0, f"{word} ")]})

    async def sync(self, name: str) -> None:
        """Sync, note how it ended, and see that nothing is gone."""
        try:
            await self.devices[name].sync()
        except EcholiaError as error:
            self.errors.add((name, error.code))
        shows = await shown(self.devices[name])
        assert self.wrote[name] <= shows, f"{name} lost edits of its own"
        assert self.showed[name] - self.disowned <= shows, f"{name} lost what it showed"
        if name != STRANGER:
            wrote = self.others_words.union(*self.wrote.values())
            assert shows <= wrote, f"{name} shows what nobody wrote"
        self.showed[name] = shows

    async def round(self) -> None:
        """Everybody writes and syncs, in some order, not always both."""
        for name in self.chance.sample(self.members, len(self.members)):
            for _ in range(self.chance.randrange(3)):
                await self.write(name)
            if self.chance.random() < 0.8:
                await self.sync(name)

    async def caught(self) -> dict[str, str]:
        """What devices caught their server at; the evidence must be what they were answered."""
        found = {}
        for name in self.members:
            device = self.devices[name]
            for code, answer in await device._replica.run(_evidence, device):
                assert answer in self.world.heard[name].answers, f"the evidence of {name} is no answer"
                found[name] = code
        return found

    async def agreeing(self, names: Sequence[str]) -> None:
        """These devices show the same, have nothing unsent, and lack nothing that any of them wrote."""
        assert len({frozenset(states(self.devices[name]).items()) for name in names}) <= 1
        wrote = set[str]().union(*(self.wrote[name] for name in names))
        for name in names:
            assert wrote <= await shown(self.devices[name]), f"{name} lacks what others wrote"
            status = await self.devices[name].status()
            assert (status.pending, status.quarantined) == (0, ()), name

    async def stays_stopped(self, name: str, code: str) -> None:
        """A device that caught its server asks it nothing more, and goes on writing."""
        heard = self.world.heard[name]
        before = heard.asked
        with pytest.raises(EcholiaError, match=code):
            await self.devices[name].sync()
        assert heard.asked == before
        await self.write(name)
        assert self.wrote[name] <= await shown(self.devices[name])


Chapter = Callable[[Journey], Awaitable[None]]


def _evidence(device: Device) -> list[tuple[Any, ...]]:
    return device._replica.database.rows("SELECT code, answer FROM evidence")


async def shown(device: Device) -> set[str]:
    """Every word that a device's entries show."""
    records = await device.collection("entries").list(limit=1_000)
    return {word for one in records for word in f"{one.title} {one.fields.get('body', '')}".split()}


async def under(journey: Journey, attack: Attack, chapter: Chapter, against: Sequence[str]) -> None:
    """Some honest rounds, some under the attack, and honest ones again until all has had time to arrive."""
    world, operator = journey.world, journey.world.operator
    await journey.begin()
    for _ in range(journey.chance.randrange(3)):
        await journey.round()
    for name in journey.devices:
        await journey.sync(name)
    world.pass_s(A_WHILE_S)
    await journey.sync(STRANGER)
    operator.begin(attack, [journey.devices[name].id for name in against])
    for _ in range(2):
        await journey.round()
        await journey.sync(STRANGER)
    await chapter(journey)
    await journey.round()
    operator.end()
    journey.lies, journey.in_time = operator.lies, set(await journey.caught())
    world.pass_s(A_WHILE_S)
    for name in journey.members:
        await journey.write(name)
    for _ in range(2):
        for name in journey.members:
            world.pass_s(1)
            await journey.sync(name)
    assert operator.lies == journey.lies, "it went on lying"
