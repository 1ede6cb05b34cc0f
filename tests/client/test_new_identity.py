"""A home that is one of two with one device id takes a new identity by itself and loses nothing."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from echolia.client import Add, Device, EcholiaError, Increment, Remove, SpliceText, ledger
from echolia.client.transport import Answer, Request
from echolia.core.collections import declare
from echolia.core.merge import ObjectState, decode
from echolia.core.merge.registers import Register
from tests.client.crash_stage import check_home, states
from tests.client.test_checkpoints import DAY_S, base_of
from tests.support.devices import World

KIT = declare("kit", one="lww", title="multi", tags="set", seen="counter", text="text")
NOTE = "aa" * 16


@asynccontextmanager
async def opened(world: World, name: str, seed: str = "") -> AsyncIterator[Device]:
    """A home of the world's folder; `seed` is that of its dice, which no two lives share."""
    around = world.around(name, seed=seed or name + "again")
    async with await Device.open(world.folder / name, collections=[KIT], **around) as device:
        yield device


async def original(world: World) -> None:
    """A laptop's home with one synced note, closed; and a phone."""
    laptop = await world.first()
    for device in (await world.added(laptop), laptop):
        await device.aclose()
    async with opened(world, "laptop", "first life") as laptop:
        await laptop.collection("kit").create(
            {"one": 1, "title": "plan", "tags": ["a", "b"], "seen": 3, "text": "one two three"}, id=NOTE
        )
        await laptop.sync()


def copied(world: World, name: str = "copy") -> Path:
    """The laptop's folder as it is, a second time."""
    shutil.copytree(world.folder / "laptop", world.folder / name)
    return world.folder / name


async def settled(*devices: Device) -> None:
    """Everybody has what everybody wrote, and all show the same."""
    for _ in range(2):
        for device in devices:
            await device.sync()
    for device in devices:
        check_home(device)
        assert (await device.status()).evidence == ()
        assert (await device.status()).pending == 0
    assert len({frozenset(states(device).items()) for device in devices}) == 1


async def edit(device: Device, word: str, number: int) -> None:
    """An edit of each kind."""
    await device.collection("kit").update(
        NOTE,
        {
            "one": word,
            "tags": [Add(word), Remove("a")],
            "seen": Increment(number),
            "text": [SpliceText(0, 0, f"{word} ")],
        },
    )


async def test_a_copy_goes_on_as_another_device_with_its_edits(world: World) -> None:
    await original(world)
    copied(world)
    async with opened(world, "laptop") as laptop, opened(world, "copy") as copy:
        before = laptop.id
        assert copy.id == before
        await edit(laptop, "here", 10)
        await edit(copy, "there", 100)
        made = await copy.collection("kit").create({"title": "made", "text": "by the copy"})
        gone = await copy.collection("kit").create({"title": "gone"})
        await copy.collection("kit").delete(gone)
        await laptop.sync()
        await copy.sync()
        assert laptop.id == before
        assert copy.id != before
        assert [notice.code for notice in await copy.notices()] == ["identity_renewed"]
        assert await laptop.notices() == ()
        async with opened(world, "phone") as phone:
            await settled(laptop, copy, phone)
            record = await phone.collection("kit").get(NOTE)
            assert record.fields["text"] in ("here there one two three", "there here one two three")
            assert record.fields["tags"] == ["b", "here", "there"]
            assert record.fields["seen"] == 113
            assert record.fields["one"] in ("here", "there")
            assert (await phone.collection("kit").get(made)).fields["text"] == "by the copy"
            assert not (await phone.collection("kit").get(gone)).alive
            assert {device.id for device in await phone.devices()} >= {before, copy.id}


async def test_what_both_had_written_is_as_old_as_the_log_says(world: World) -> None:
    """A whole state may be all that a later device gets: it must not name what one clock claimed."""
    await original(world)
    async with opened(world, "laptop") as laptop:
        ahead_ms = laptop._replica.environment.now_ms() + 10 * 365 * 86_400_000
        laptop._replica.database.run("UPDATE clock SET wall_ms = ?", ahead_ms)
        await laptop.collection("kit").update(NOTE, {"one": "both"})
    copied(world)
    states: list[ObjectState] = []
    async with opened(world, "laptop") as laptop, opened(world, "copy") as copy:
        await laptop.collection("kit").update(NOTE, {"title": "by one"})
        await laptop.sync()
        logged_ms = ledger.last_received_ms(laptop._replica.database)
        await copy.collection("kit").delete(NOTE)

        def look(request: Request, answer: Answer) -> Answer:
            if request.path == "/sync/push":
                rows = copy._replica.database.rows("SELECT plaintext FROM outbox")
                states.extend(decode(plaintext) for (plaintext,) in rows)
            return answer

        world.transport("copy").meddle = look
        await copy.sync()
        await settled(laptop, copy)
    one = states[-1].fields["one"]
    assert isinstance(one, Register)
    assert one.value == "both"
    assert one.key.wall_ms == logged_ms < ahead_ms


async def test_what_both_had_before_their_first_sync_is_written_once(world: World) -> None:
    await (await world.first()).aclose()
    async with opened(world, "laptop", "first life") as laptop:
        await laptop.collection("kit").create({"title": "plan", "seen": 3, "text": "one two three"}, id=NOTE)
    copied(world)
    async with opened(world, "laptop") as laptop, opened(world, "copy") as copy:
        await edit(laptop, "here", 10)
        await edit(copy, "there", 100)
        await laptop.sync()
        await copy.sync()
        await settled(laptop, copy)
        record = await copy.collection("kit").get(NOTE)
        assert record.fields["text"] in ("here there one two three", "there here one two three")
        assert record.fields["seen"] == 113


async def test_what_both_had_and_is_compacted_since_is_written_once(world: World) -> None:
    """Of what was sent together only what still counts is left; its hash says what went before it."""
    await original(world)
    async with opened(world, "laptop", "second life") as laptop:
        await laptop.collection("kit").create({"title": "counts until the end"})
        await edit(laptop, "both", 10)
    copied(world)
    async with opened(world, "laptop") as laptop:
        await laptop.sync()
        for _ in range(2):
            world.pass_s(100 * DAY_S)
            await laptop.collection("kit").update(NOTE, {"one": "1" * 20_000})  # outgrown: a whole state
            await laptop.collection("kit").create_many({"title": f"later {n}"} for n in range(600))
            await laptop.sync()
        assert await base_of(world, laptop) > 0
        async with opened(world, "copy") as copy:
            await edit(copy, "there", 100)
            await copy.sync()
            fields = (await copy.collection("kit").get(NOTE)).fields
            assert sorted(str(fields["text"]).split()) == ["both", "one", "there", "three", "two"]
            assert fields["seen"] == 113
            assert len(await copy.collection("kit").list(limit=2000)) == 1202


async def test_the_person_is_told_once(world: World) -> None:
    await original(world)
    copied(world)
    async with opened(world, "laptop") as laptop:
        await edit(laptop, "here", 1)
        await laptop.sync()
    async with opened(world, "copy") as copy:
        await copy.sync()
        (notice,) = await copy.notices()
        await copy.notices_told(notice.n)
        assert await copy.notices() == ()
        await copy.sync()
    async with opened(world, "copy", "third life") as copy:
        assert await copy.notices() == ()


async def test_a_home_from_a_backup(world: World) -> None:
    """What it had sent since the backup comes back from the server; what it writes now is its own."""
    await original(world)
    backup = copied(world, "backup")
    async with opened(world, "laptop") as laptop:
        await edit(laptop, "later", 10)
        await laptop.sync()
        await edit(laptop, "unsent", 1)
    shutil.rmtree(world.folder / "laptop")
    shutil.copytree(backup, world.folder / "laptop")
    async with opened(world, "laptop", "second life") as laptop, opened(world, "phone") as phone:
        await laptop.collection("kit").update(NOTE, {"seen": Increment(100)})
        await settled(laptop, phone)
        fields = (await laptop.collection("kit").get(NOTE)).fields
        assert fields["seen"] == 113
        assert fields["text"] == "later one two three"


async def test_edits_of_the_trash_and_of_conflicts_are_made_anew(world: World) -> None:
    await original(world)
    async with opened(world, "laptop") as laptop, opened(world, "phone") as phone:
        await phone.sync()
        kit = laptop.collection("kit")
        trashed = await kit.create({"title": "in the trash", "seen": 1})
        await kit.delete(trashed)
        await kit.update(NOTE, {"title": "laptop"})
        await phone.collection("kit").update(NOTE, {"title": "phone"})
        await laptop.sync()
        await phone.sync()
        await laptop.sync()
        assert (await kit.get(NOTE)).conflicts
    copied(world)
    async with opened(world, "laptop") as laptop:
        await laptop.collection("kit").update(NOTE, {"one": "the other copy"})
        await laptop.sync()
    async with opened(world, "copy") as copy, opened(world, "phone") as phone:
        kit = copy.collection("kit")
        await kit.update(NOTE, {"title": "resolved"})
        await kit.restore(trashed)
        await kit.update(trashed, {"seen": Increment()})
        await kit.delete(trashed)
        await settled(copy, phone)
        record = await phone.collection("kit").get(NOTE)
        assert record.title == "resolved"
        assert not record.conflicts
        there = await phone.collection("kit").get(trashed)
        assert (there.alive, there.fields["seen"]) == (False, 2)


async def test_a_server_that_only_says_so_gets_no_new_identity(world: World) -> None:
    await original(world)

    def forked(request: Request, answer: Answer) -> Answer:
        if request.path != "/sync/push":
            return answer
        return Answer(200, answer.body.replace(b'"stored"', b'"refused","code":"device_fork"'))

    async with opened(world, "laptop") as laptop:
        before = laptop.id
        await edit(laptop, "mine", 1)
        world.transport("laptop").meddle = forked
        with pytest.raises(EcholiaError) as refused:
            await laptop.sync()
        assert refused.value.code == "device_fork"
        world.transport("laptop").meddle = None
        await laptop.sync()
        assert laptop.id == before


@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_interrupted_it_goes_on(world: World, lost: int) -> None:
    """Each answer around the new entry is lost once, and the home is closed and opened again."""
    await original(world)
    copied(world)
    async with opened(world, "laptop") as laptop:
        await edit(laptop, "here", 1)
        await laptop.sync()
    asked = [0]

    def cut(request: Request, answer: Answer) -> Answer:
        asked[0] += request.path == "/auth/devices" or asked[0] > 0
        if asked[0] >= lost:
            raise EcholiaError("server_unreachable")
        return answer

    async with opened(world, "copy") as copy:
        await edit(copy, "there", 1)
        world.transport("copy").meddle = cut
        with suppress(EcholiaError):
            await copy.sync()
    world.transport("copy").meddle = None
    async with opened(world, "copy", "third life") as copy, opened(world, "phone") as phone:
        await settled(copy, phone)
        fields = (await phone.collection("kit").get(NOTE)).fields
        assert {"here", "there"} <= set(fields["tags"])  # type: ignore[arg-type]  # a set is a list
        assert len(await phone.devices()) == 3
