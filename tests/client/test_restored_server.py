"""A server that comes back from a backup gets back what it had lost, from whoever has it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from echolia.client import Device, Increment
from echolia.restoring import restored
from tests.client.crash_stage import check_home, states
from tests.support.devices import World
from tests.support.server import Clock, served

NOTE = "aa" * 16


@asynccontextmanager
async def running(folder: Path, clock: Clock, *names: str) -> AsyncIterator[tuple[World, list[Device]]]:
    """The server of a folder and some of its devices, for a while."""
    async with served(folder / "server", clock) as ask, AsyncExitStack() as stack:
        world = World(ask, clock, folder, stack)
        devices = []
        for name in names:
            around = world.around(name, seed=f"{name} {clock.now_s}")
            devices.append(await stack.enter_async_context(await Device.open(folder / name, **around)))
        yield world, devices
    clock.pass_s(10)


async def begun(folder: Path, clock: Clock) -> None:
    """A laptop and a phone with one note."""
    async with running(folder, clock) as (world, _):
        laptop = await world.first()
        phone = await world.added(laptop)
        await laptop.collection("entries").create({"title": "note", "body": "one", "starred": 1}, id=NOTE)
        for device in (laptop, phone):
            await device.sync()


def backed_up(folder: Path) -> None:
    """A copy of the stopped server's folder."""
    shutil.copytree(folder / "server", folder / "backup")


async def brought_back(folder: Path) -> None:
    """The backup in place of the server's folder, as the operator's guide says."""
    shutil.rmtree(folder / "server")
    shutil.copytree(folder / "backup", folder / "server")
    assert (await restored(folder / "server", None, lambda done, of: None)).failed == {}


async def alike(*devices: Device) -> None:
    """Everybody syncs twice, and all show the same."""
    for _ in range(2):
        for device in devices:
            await device.sync()
    for device in devices:
        check_home(device)
        standing = await device.status()
        assert (standing.evidence, standing.pending) == ((), 0)
    assert len({frozenset(states(device).items()) for device in devices}) == 1


async def edit(device: Device, word: str) -> str:
    """An edit of the note, and another note."""
    entries, memories = device.collection("entries"), device.collection("memories")
    await entries.update(NOTE, {"body": f"one {word}", "tags": [word]})
    await memories.create({"content": word, "access": 2})
    return await entries.create({"title": f"made by {word}"})


@pytest.mark.parametrize("first", ["laptop", "phone"])
async def test_what_it_had_lost_comes_back_once(tmp_path: Path, first: str) -> None:
    """Both devices had seen the laptop's lost edits; the laptop's own writing cannot go on where it was."""
    clock = Clock()
    await begun(tmp_path, clock)
    backed_up(tmp_path)
    async with running(tmp_path, clock, "laptop", "phone") as (_, [laptop, phone]):
        made = await edit(laptop, "lost")
        memory = (await laptop.collection("memories").list())[0].id
        await laptop.sync()
        await phone.sync()
        before = laptop.id
        await laptop.collection("entries").update(NOTE, {"title": "unsent"})
    await brought_back(tmp_path)
    async with running(tmp_path, clock, "laptop", "phone") as (_, [laptop, phone]):
        await (laptop if first == "laptop" else phone).sync()
        await alike(laptop, phone)
        assert laptop.id != before
        for device in (laptop, phone):
            record = await device.collection("entries").get(NOTE)
            assert record.fields["body"] == "one lost"
            assert record.fields["tags"] == ["lost"]
            assert record.title == "unsent"
            assert (await device.collection("entries").get(made)).title == "made by lost"
            assert (await device.collection("memories").get(memory)).fields["access"] == 2
            assert "server_restored" in {notice.code for notice in await device.notices()}
        await laptop.collection("memories").update(memory, {"access": Increment(5)})
        await alike(laptop, phone)
        assert (await phone.collection("memories").get(memory)).fields["access"] == 7


async def test_nothing_was_lost_and_nothing_changes(tmp_path: Path) -> None:
    clock = Clock()
    await begun(tmp_path, clock)
    backed_up(tmp_path)
    await brought_back(tmp_path)
    async with running(tmp_path, clock, "laptop", "phone") as (_, [laptop, phone]):
        before = laptop.id
        await edit(laptop, "later")
        await alike(laptop, phone)
        assert laptop.id == before


async def test_a_deletion_that_was_lost_is_a_deletion_again(tmp_path: Path) -> None:
    clock = Clock()
    await begun(tmp_path, clock)
    backed_up(tmp_path)
    async with running(tmp_path, clock, "laptop", "phone") as (_, [laptop, phone]):
        await laptop.collection("entries").delete(NOTE)
        await alike(laptop, phone)
    await brought_back(tmp_path)
    async with running(tmp_path, clock, "laptop", "phone") as (_, [laptop, phone]):
        await alike(phone, laptop)
        record = await phone.collection("entries").get(NOTE)
        assert (record.alive, record.recovered) == (False, False)


async def test_a_device_that_was_added_meanwhile_is_brought_back(tmp_path: Path) -> None:
    clock = Clock()
    await begun(tmp_path, clock)
    backed_up(tmp_path)
    async with running(tmp_path, clock, "laptop") as (world, [laptop]):
        tablet = await world.added(laptop, "tablet")
        await tablet.collection("entries").create({"title": "by the tablet"})
        await alike(tablet, laptop)
        await laptop.revoke((await laptop.devices())[1].id)
        await alike(tablet, laptop)
    await brought_back(tmp_path)
    async with running(tmp_path, clock, "laptop", "tablet") as (_, [laptop, tablet]):
        await alike(laptop, tablet)
        assert "by the tablet" in {one.title for one in await laptop.collection("entries").list()}
        revoked = {device.id: device.revoked for device in await tablet.devices()}
        assert sorted(revoked.values()) == [False, False, False, True]


async def test_a_server_that_says_nothing_of_its_backup_is_caught(tmp_path: Path) -> None:
    clock = Clock()
    await begun(tmp_path, clock)
    backed_up(tmp_path)
    async with running(tmp_path, clock, "laptop") as (_, [laptop]):
        await edit(laptop, "lost")
        await laptop.sync()
    shutil.rmtree(tmp_path / "server")
    shutil.copytree(tmp_path / "backup", tmp_path / "server")
    async with running(tmp_path, clock, "laptop") as (_, [laptop]):
        with pytest.raises(Exception, match="log_rolled_back"):
            await laptop.sync()
        assert (await laptop.collection("entries").get(NOTE)).fields["body"] == "one lost"
