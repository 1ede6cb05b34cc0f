"""Whatever is lost, repeated, cut off or restarted: in the end every edit is on every device."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from echolia.client import Add, Device, EcholiaError, Increment, Remove, SpliceText
from echolia.client.environment import Environment
from echolia.client.transport import Answer, Request
from echolia.core.collections import declare
from echolia.core.merge import canonical_view, decode
from tests.support.devices import InProcess, World

KIT = declare("kit", one="lww", title="multi", tags="set", seen="counter", text="text")
WORDS = ("rain", "sun", "wind", "é📊")
DECADE_MS = 10 * 365 * 86_400_000
STEPS = 100
REFUSED = {"object_exists", "object_unknown", "object_in_trash", "server_unreachable"}


@dataclass
class Unreliable(InProcess):
    """Loses questions and answers, and asks twice."""

    chance: Random = field(default_factory=Random)
    pass_s: Callable[[float], None] = lambda seconds: None
    rate: float = 0.0

    async def ask(self, request: Request) -> Answer:
        """See `Transport.ask`."""
        self.pass_s(0.002)
        fate = self.chance.random()
        if fate < self.rate:
            raise EcholiaError("server_unreachable")
        answer = await super().ask(request)
        self.pass_s(0.002)
        if fate < self.rate * 2:
            raise EcholiaError("server_unreachable")
        return await super().ask(request) if fate < self.rate * 3 else answer


@dataclass
class Flock:
    """Devices whose clocks step by decades; each is closed and opened again now and then."""

    world: World
    chance: Random
    devices: dict[str, Device] = field(default_factory=dict)
    skews_ms: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def around(self, name: str) -> dict[str, Any]:
        """What a device is opened with: dice go on where they were, or nonces would repeat."""
        known = self.world.transports.get(name)
        if known is None:
            chance = Random(f"{name}{self.chance.random()}")
            known = Unreliable(self.world.ask, chance=chance, pass_s=self.world.pass_s)
            self.world.transports[name] = known
        assert isinstance(known, Unreliable)

        async def at_once(seconds: float) -> None:
            await asyncio.sleep(0)

        skew = self.skews_ms
        now = lambda: int(self.world.clock.now_s * 1000) + skew.get(name, 0)  # noqa: E731
        environment = Environment(now, known.chance.randbytes, at_once, known.chance.random)
        return {"transport": known, "environment": environment, "collections": [KIT]}

    async def gather(self) -> None:
        """Three devices of one account."""
        self.world.around = lambda name, *_: self.around(name)  # type: ignore[method-assign]
        laptop = self.devices["laptop"] = await self.world.first()
        for name in ("phone", "tablet"):
            self.devices[name] = await self.world.added(laptop, name)

    def rate(self, rate: float) -> None:
        """How often an exchange goes wrong in each of three ways."""
        for transport in self.world.transports.values():
            assert isinstance(transport, Unreliable)
            transport.rate = rate

    async def step(self) -> None:
        """Something happens to one of them."""
        name = self.chance.choice(sorted(self.devices))
        happens: list[tuple[float, Callable[[str], Awaitable[None]]]] = [
            (5, self.edit), (2, self.sync), (1, self.cut_off), (0.5, self.reopen), (0.5, self.change_clock),
        ]  # fmt: skip
        [chosen] = self.chance.choices([one for _, one in happens], [weight for weight, _ in happens])
        self.world.pass_s(self.chance.choice([0, 0.001, 1, 60]))
        try:
            await chosen(name)
        except EcholiaError as error:
            if error.code not in REFUSED:
                raise

    async def sync(self, name: str) -> None:
        """A whole sync."""
        await self.devices[name].sync()

    async def cut_off(self, name: str) -> None:
        """A sync that is given up somewhere, with an edit beside it."""
        syncing = asyncio.create_task(self.devices[name].sync())
        for _ in range(self.chance.randrange(60)):
            await asyncio.sleep(0)
        await self.devices[name].collection("kit").create({"title": "beside a sync"})
        syncing.cancel()
        await asyncio.gather(syncing, return_exceptions=True)

    async def reopen(self, name: str) -> None:
        """The process ends and begins."""
        await self.devices[name].aclose()
        self.devices[name] = await Device.open(self.world.folder / name, **self.around(name))
        self.world.stack.push_async_callback(self.devices[name].aclose)

    async def change_clock(self, name: str) -> None:
        """Somebody sets it."""
        self.skews_ms[name] = self.chance.choice([0, DECADE_MS, -DECADE_MS])

    async def edit(self, name: str) -> None:
        """One edit of any kind."""
        kit, chance = self.devices[name].collection("kit"), self.chance
        words = " ".join(chance.choices(WORDS, k=3))
        if chance.random() < 0.2 or not self.notes:
            fields: dict[str, Any] = {"title": words, "text": words, "tags": [words[:3]], "seen": 1}
            id_ = self.devices[name].imported_id("test", str(chance.randrange(9)))
            self.notes.append(await kit.create(fields, id=id_ if chance.random() < 0.5 else None))
            return
        note = chance.choice(self.notes)
        if chance.random() < 0.2:
            await (kit.delete if chance.random() < 0.5 else kit.restore)(note)
            return
        edits: dict[str, Any] = {
            "one": chance.randrange(100),
            "title": words,
            "tags": chance.choice([Add, Remove])(chance.choice(WORDS)),
            "seen": Increment(chance.randrange(-2, 3)),
            "text": chance.choice([words, [SpliceText(0, 0, words)]]),
        }
        await kit.update(note, {name: edits[name] for name in chance.sample(sorted(edits), 2)})


def kept(device: Device) -> dict[bytes, tuple[bytes, bytes]]:
    """The canonical form and the view of every object, all of which are confirmed."""
    rows = device._replica.database.rows("SELECT id, confirmed, view FROM objects WHERE shown IS NULL")
    return {id_: (canonical_view(decode(confirmed)), view) for id_, confirmed, view in rows}


@pytest.mark.parametrize("seed", range(3))
async def test_in_the_end_all_agree(world: World, seed: int) -> None:
    flock = Flock(world, Random(seed))
    await flock.gather()
    flock.rate(0.06)
    for _ in range(STEPS):
        await flock.step()
    flock.rate(0)
    for _ in range(2):
        for name in flock.devices:
            await flock.sync(name)
    laptop, phone, tablet = flock.devices.values()
    assert kept(laptop) == kept(phone) == kept(tablet)
    for device in (laptop, phone, tablet):
        status = await device.status()
        assert (status.pending, status.quarantined, status.evidence) == (0, (), ())
        assert {bytes.fromhex(note) for note in flock.notes} <= kept(device).keys()
