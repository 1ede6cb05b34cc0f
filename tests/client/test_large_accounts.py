"""What a device does again and again costs the same, however much the account holds."""

from __future__ import annotations

from echolia.client import Device
from tests.support.devices import World
from tests.support.steps import counted

FEW, MANY = 100, 1_000
RUN = 20
MORE = 1.2  # a tree that is one level deeper
TURNS = ("sync with nothing new", "screen", "edit", "sync of one")


async def steps_of(world: World, entries: int) -> dict[str, int]:
    """Instructions of the home's database, by what the device of an account of so many entries did."""
    device = await world.first(f"laptop-{entries}")
    for start in range(0, entries, RUN):
        days = range(start, start + RUN)
        await device.collection("entries").create_many({"title": f"Day {n}"} for n in days)
        await device.sync()
    found = {}
    with counted(device._replica.database._connection) as steps:
        for name in TURNS:
            before = steps.count
            await do(device, name)
            found[name] = steps.count - before
    return found


async def do(device: Device, name: str) -> None:
    """One of the things that are measured."""
    entries = device.collection("entries")
    if name == "screen":
        assert len(await entries.list(limit=50)) == 50
    elif name == "edit":
        await entries.create({"title": "One more"})
    else:
        report = await device.sync()
        assert report.pushed == (name == "sync of one")


async def test_it_costs_no_more_in_a_large_account(world: World) -> None:
    few, many = await steps_of(world, FEW), await steps_of(world, MANY)
    assert min(many.values()) > 0
    assert {turn: many[turn] for turn in TURNS if many[turn] > MORE * few[turn]} == {}
