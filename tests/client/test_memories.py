"""Memories and tags: where a memory comes from, how often it is looked at, and what values fit."""

from __future__ import annotations

from typing import Any

import pytest

from echolia.client import Add, Device, EcholiaError, Increment, Remove, accesses, declare, membership
from echolia.core.runs import DELTA
from tests.support.devices import World

DAY_S = 86_400


async def refused(work: Any) -> str:
    """The code that this ends with."""
    with pytest.raises(EcholiaError) as error:
        await work
    return error.value.code


async def two(world: World) -> tuple[Device, Device]:
    """Two devices of an account."""
    laptop = await world.first()
    return laptop, await world.added(laptop)


async def meet(*devices: Device) -> None:
    """Sync until all have everything."""
    for device in (*devices, *devices):
        await device.sync()


# --- sources --------------------------------------------------------------------------------------


async def test_sources_are_told_apart_by_where_they_are(world: World) -> None:
    laptop, phone = await two(world)
    entries, memories = laptop.collection("entries"), laptop.collection("memories")
    here, trashed, unsent = [await entries.create({"title": title}) for title in ("here", "trash", "unsent")]
    await laptop.sync()
    await phone.sync()
    await entries.delete(trashed)
    nobody = "0f" * 16
    memory = await memories.create({"content": "x", "sources": [here, trashed, unsent, nobody]})
    found = {one.id: one for one in await memories.sources(memory)}
    assert {id_: one.standing for id_, one in found.items()} == {
        here: "here",
        trashed: "trash",
        unsent: "here",
        nobody: "not_here",
    }
    titles = {id_: one.record.title for id_, one in found.items() if one.record}
    assert titles == {here: "here", trashed: "trash", unsent: "unsent"}
    assert found[nobody].record is None
    await memories.update(memory, {"sources": Remove(nobody)})
    assert nobody not in {one.id for one in await memories.sources(memory)}


async def test_a_source_that_arrives_later_is_here_then(world: World) -> None:
    laptop, phone = await two(world)
    entry = await laptop.collection("entries").create({"title": "late"})
    memory = await phone.collection("memories").create({"content": "x", "sources": [entry]})
    [source] = await phone.collection("memories").sources(memory)
    assert (source.standing, source.record) == ("not_here", None)
    await meet(laptop, phone)
    [source] = await phone.collection("memories").sources(memory)
    assert source.standing == "here"
    assert source.record is not None and source.record.title == "late"


async def test_a_source_that_only_a_revoked_device_wrote_is_gone(world: World) -> None:
    laptop, phone = await two(world)
    tablet = await world.added(laptop, "tablet")
    await meet(laptop, phone, tablet)
    entry = await tablet.collection("entries").create({"title": "after the cut-off"})
    await tablet.sync()
    await phone.sync()
    memory = await phone.collection("memories").create({"content": "x", "sources": [entry]})
    # The laptop has not seen it: the cut-off lies before.
    await membership.revoke(laptop._replica, laptop._session, tablet.id)
    await meet(phone, laptop)
    [source] = await phone.collection("memories").sources(memory)
    assert (source.standing, source.record) == ("gone", None)
    assert await phone.collection("memories").citing(entry)
    [source] = await laptop.collection("memories").sources(memory)
    assert source.standing == "not_here"


async def test_what_comes_from_an_entry_is_found_from_there(world: World) -> None:
    laptop, phone = await two(world)
    entries, memories = laptop.collection("entries"), laptop.collection("memories")
    entry, other = [await entries.create({"title": title}) for title in ("one", "two")]
    cites = await memories.create({"content": "cites", "sources": [entry, other]})
    await memories.create({"content": f"only mentions {entry}", "sources": [other]})
    trashed = await memories.create({"content": "trash", "sources": [entry]})
    await memories.delete(trashed)
    await meet(laptop, phone)
    for device in (laptop, phone):
        assert [one.id for one in await device.collection("memories").citing(entry)] == [cites]
    await memories.update(cites, {"sources": Remove(entry)})
    assert await memories.citing(entry) == []
    assert await memories.citing("0f" * 16) == []
    assert await refused(memories.citing("no id")) == "object_unknown"


async def test_an_app_s_own_relations_resolve_alike(world: World) -> None:
    books = declare("books", name="multi", about="set", read="counter")
    device = await world.first()
    await device.aclose()
    around = world.around("laptop")
    async with await Device.open(world.folder / "laptop", collections=[books], **around) as device:
        tag = await device.collection("tags").create({"name": "rivers"})
        shelf = device.collection("books")
        book = await shelf.create({"name": "Herons", "about": [tag, "no id", 7]})
        assert [one.id for one in await shelf.sources(book, field="about")] == [tag]
        assert [one.id for one in await shelf.citing(tag, field="about")] == [book]
        assert await refused(shelf.sources(book)) == "field_unknown"
        assert await refused(shelf.sources(book, field="name")) == "field_policy"
        assert await refused(shelf.citing(book, field="name")) == "field_policy"
        await shelf.touch(book, field="read")
        assert await refused(shelf.touch(book, field="name")) == "field_policy"
        assert await refused(shelf.touch(book)) == "field_unknown"


# --- accesses -------------------------------------------------------------------------------------


async def counted(device: Device, memory: str) -> object:
    """How often the account has looked at a memory, as far as is written."""
    return (await device.collection("memories").get(memory)).fields.get("access")


async def test_accesses_are_written_together_on_another_day_and_none_is_lost(world: World) -> None:
    laptop, phone = await two(world)
    made = await laptop.collection("memories").create_many([{"content": f"{n}"} for n in range(3)])
    await meet(laptop, phone)
    for device, times in ((laptop, 3), (phone, 2)):
        for _ in range(times):
            await device.collection("memories").touch(made[0])
        await device.collection("memories").touch(made[1])
    for device in (laptop, phone):
        assert (await device.status()).pending == 0
        assert (await device.sync()).pushed == 0
        assert await counted(device, made[0]) is None
    world.pass_s(2 * DAY_S)
    assert [(await device.sync()).pushed for device in (laptop, phone)] == [2, 2]
    await meet(laptop, phone)
    for device in (laptop, phone):
        assert [await counted(device, memory) for memory in made] == [5, 2, None]


async def test_at_most_one_change_an_object_and_a_day_whenever_it_is_looked_at(world: World) -> None:
    laptop = await world.first()
    memories = laptop.collection("memories")
    memory = await memories.create({"content": "x"})
    await laptop.sync()
    days: list[int] = []
    for _ in range(20 * 24):
        await memories.touch(memory)
        world.pass_s(DAY_S / 24)
        if (await laptop.sync()).pushed:
            days.append(int(world.clock.now_s // DAY_S))
    assert len(days) == len(set(days))
    assert 15 <= len(days) <= 20
    world.pass_s(3 * DAY_S)
    await laptop.sync()
    assert await counted(laptop, memory) == 20 * 24


async def test_the_moment_is_drawn_anew_each_day_and_never_on_the_day_itself(world: World) -> None:
    laptop = await world.first()
    memory = await laptop.collection("memories").create({"content": "x"})
    moments = set()
    for _ in range(5):
        await laptop.collection("memories").touch(memory)
        due_ms = laptop._replica.database.get("accesses_due_ms")
        today = int(world.clock.now_s // DAY_S)
        assert due_ms // (DAY_S * 1000) == today + 1
        moments.add(due_ms % (DAY_S * 1000))
        world.pass_s(2 * DAY_S)
        await laptop.sync()
    assert len(moments) == 5


async def test_a_clock_that_was_ahead_does_not_put_it_off_for_years(world: World) -> None:
    laptop = await world.first()
    memory = await laptop.collection("memories").create({"content": "x"})
    world.pass_s(3650 * DAY_S)
    await laptop.collection("memories").touch(memory)
    world.pass_s(-3650 * DAY_S)
    await laptop.sync()
    world.pass_s(2 * DAY_S)
    await laptop.sync()
    assert await counted(laptop, memory) == 1


async def test_what_cannot_be_counted_any_more_holds_nothing_up(world: World) -> None:
    laptop = await world.first()
    memories = laptop.collection("memories")
    kept, trashed = await memories.create_many([{"content": "kept"}, {"content": "trash"}])
    full = await memories.create({"content": "full", "access": 2**53 - 1})
    for memory in (kept, trashed, full):
        await memories.touch(memory)
    await memories.delete(trashed)
    world.pass_s(2 * DAY_S)
    await laptop.sync()
    assert await counted(laptop, kept) == 1
    await memories.restore(trashed)
    world.pass_s(2 * DAY_S)
    await laptop.sync()
    assert await counted(laptop, trashed) is None
    assert laptop._replica.database.value("SELECT count(*) FROM accesses") == 0


async def test_accesses_of_a_collection_that_is_not_declared_now_wait_for_whoever_declares_it(
    world: World,
) -> None:
    moods, around = declare("moods", label="multi", seen="counter"), world.around("laptop")
    laptop = await world.first()
    await laptop.aclose()
    async with await Device.open(world.folder / "laptop", collections=[moods], **around) as device:
        mood = await device.collection("moods").create({"label": "calm"})
        await device.sync()
        await device.collection("moods").touch(mood, field="seen")
    world.pass_s(2 * DAY_S)
    async with await Device.open(world.folder / "laptop", **around) as device:
        assert (await device.sync()).pushed == 0
    world.pass_s(2 * DAY_S)
    async with await Device.open(world.folder / "laptop", collections=[moods], **around) as device:
        assert (await device.sync()).pushed == 1
        assert (await device.collection("moods").get(mood)).fields["seen"] == 1


async def test_an_access_is_a_small_change_and_no_version(world: World) -> None:
    laptop = await world.first()
    memories = laptop.collection("memories")
    memory = await memories.create({"content": "x" * 5000})
    await memories.touch(memory)
    world.transport("laptop").down = True
    world.pass_s(2 * DAY_S)
    laptop._replica.database.run("DELETE FROM outbox")
    await accesses.write_if_due(laptop._replica)
    [(change,)] = laptop._replica.database.rows("SELECT change FROM outbox")
    assert change[0] == DELTA
    assert len(change) < 600
    assert await memories.history(memory) == []


async def test_what_is_not_here_cannot_be_touched(world: World) -> None:
    laptop = await world.first()
    entry = await laptop.collection("entries").create({"title": "x"})
    memories = laptop.collection("memories")
    assert await refused(memories.touch("0f" * 16)) == "object_unknown"
    assert await refused(memories.touch(entry)) == "object_unknown"
    assert await refused(laptop.collection("entries").touch(entry)) == "field_unknown"


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("collection", "fields"),
    [
        ("tags", {"confidence": 1.5}),
        ("tags", {"confidence": "high"}),
        ("tags", {"color": 7}),
        ("memories", {"importance": "very"}),
        ("memories", {"sources": ["not an id"]}),
        ("memories", {"sources": Add("0F" * 16)}),
    ],
)
async def test_values_that_do_not_fit_are_refused_by_name(
    world: World, collection: str, fields: dict[str, Any]
) -> None:
    device = await world.first()
    kind = device.collection(collection)
    id_ = await kind.create({})
    for work in (kind.create(fields), kind.update(id_, fields), kind.put(id_, fields)):
        with pytest.raises(EcholiaError, match=f"value_invalid: {next(iter(fields))} takes"):
            await work
    assert (await kind.get(id_)).fields == {}


async def test_confidence_and_source_type_arrive_as_they_were_given(world: World) -> None:
    laptop, phone = await two(world)
    fields: dict[str, Any] = {"name": "river", "color": "#0af", "confidence": 0.75}
    fields["source_type"] = "person"
    tag = await laptop.collection("tags").create(fields)
    await meet(laptop, phone)
    assert (await phone.collection("tags").get(tag)).fields == fields
    await phone.collection("tags").update(tag, {"confidence": None})
    await laptop.collection("memories").create({"content": "c", "access": Increment(1), "importance": 3})
    await meet(laptop, phone)
    assert (await laptop.collection("tags").get(tag)).fields["confidence"] is None
