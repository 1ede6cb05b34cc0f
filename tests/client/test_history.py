"""History: what objects showed before and values that lost, for 30 days, in a space that does not explode."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from echolia.client import Device, EcholiaError, Increment, SpliceText, Version
from echolia.client.schema import _HISTORY, MIGRATIONS
from echolia.client.transport import Answer, Request
from tests.support.devices import World
from tests.support.old_homes import downgrade

MINUTE_S, DAY_S = 60, 86_400


async def pair(world: World, **fields: Any) -> tuple[Device, Device, str]:
    """A laptop and a phone that share one entry, some time ago."""
    laptop = await world.first()
    phone = await world.added(laptop)
    note = await laptop.collection("entries").create(fields)
    for device in (laptop, phone):
        await device.sync()
    world.pass_s(10 * MINUTE_S)
    return laptop, phone, note


async def history(device: Device, id_: str, collection: str = "entries") -> list[Version]:
    """The versions of an object."""
    return await device.collection(collection).history(id_)


async def titles(device: Device, id_: str) -> list[object]:
    """The titles that its versions showed, newest first."""
    return [version.fields.get("title") for version in await history(device, id_)]


async def test_what_was_overwritten_here_and_from_elsewhere_is_kept(world: World) -> None:
    laptop, phone, note = await pair(world, title="One", body="first", tags=["a"])
    made_ms = (await laptop.collection("entries").get(note)).updated_ms
    assert await history(laptop, note) == await history(phone, note) == []
    await laptop.collection("entries").update(note, {"title": "Two", "tags": ["b"]})
    [kept] = await history(laptop, note)
    assert (kept.kind, kept.device, kept.replaced_by) == ("version", laptop.id, laptop.id)
    assert kept.fields == {"title": "One", "body": "first", "tags": ["a"]}
    assert kept.at_ms == made_ms
    assert kept.until_ms == int(world.clock.now_s * 1000)
    await laptop.sync()
    await phone.sync()
    [arrived] = await history(phone, note)
    assert (arrived.fields, arrived.device, arrived.replaced_by) == (kept.fields, laptop.id, laptop.id)


async def test_edits_within_minutes_are_one_version_and_a_long_session_has_several(world: World) -> None:
    laptop, _, note = await pair(world, title="0", body="")
    entries = laptop.collection("entries")
    for number in range(1, 13):
        await entries.update(note, {"title": str(number)})
        world.pass_s(MINUTE_S)
    assert await titles(laptop, note) == ["10", "5", "0"]


async def test_an_object_that_is_being_made_has_no_versions(world: World) -> None:
    device = await world.first()
    entries = device.collection("entries")
    note = await entries.create({"body": ""})
    for number in range(4):
        await entries.update(note, {"body": "text " * number})
        world.pass_s(MINUTE_S)
    assert await history(device, note) == []
    world.pass_s(MINUTE_S)
    await entries.update(note, {"body": "rewritten"})
    assert [version.fields["body"] for version in await history(device, note)] == ["text " * 3]


async def test_typing_on_two_devices_at_once_keeps_a_copy_each_few_minutes_not_each_batch(
    world: World,
) -> None:
    laptop, phone, note = await pair(world, title="Both", body="start")
    for _ in range(8):
        for device in (laptop, phone):
            await device.collection("entries").update(note, {"body": [SpliceText(0, 0, "word ")]})
            await device.sync()
            world.pass_s(20)
    await laptop.sync()
    for device in (laptop, phone):
        assert 1 <= len(await history(device, note)) <= 2


async def test_what_another_device_overwrites_within_minutes_is_kept_all_the_same(world: World) -> None:
    laptop, phone, note = await pair(world, title="One")
    for device, title in ((laptop, "Two"), (phone, "Three"), (laptop, "Four")):
        await device.sync()
        await device.collection("entries").update(note, {"title": title})
        await device.sync()
        world.pass_s(1)
    assert await titles(laptop, note) == ["Three", "Two", "One"]


async def test_counts_and_deletions_are_no_versions(world: World) -> None:
    laptop, phone, _ = await pair(world, title="x")
    memories = laptop.collection("memories")
    memory = await memories.create({"content": "likes herons"})
    world.pass_s(10 * MINUTE_S)
    await memories.update(memory, {"access": Increment(3)})
    await memories.delete(memory)
    await laptop.sync()
    await phone.sync()
    assert await history(laptop, memory, "memories") == await history(phone, memory, "memories") == []


async def test_what_lies_in_the_trash_keeps_its_history(world: World) -> None:
    laptop, _, note = await pair(world, title="One")
    entries = laptop.collection("entries")
    await entries.update(note, {"title": "Two"})
    await entries.delete(note)
    [one] = await history(laptop, note)
    await entries.revert(note, one.id)
    record = await entries.get(note)
    assert (record.alive, record.title) == (True, "One")
    assert await titles(laptop, note) == ["Two", "One"]


async def test_a_version_comes_back_whole_but_for_its_counts(world: World) -> None:
    laptop = await world.first()
    memories, entries = laptop.collection("memories"), laptop.collection("entries")
    fields: dict[str, Any] = {
        "title": "One",
        "body": "first\nsecond\n",
        "tags": ["a", "b"],
        "meta": {"n": [1]},
    }
    note = await entries.create(fields)
    memory = await memories.create({"content": "c", "access": 1})
    world.pass_s(10 * MINUTE_S)
    await entries.update(note, {"title": "Two", "body": "", "tags": ["b", "c"], "meta": 7, "starred": True})
    await memories.update(memory, {"content": "d", "access": Increment(5), "kind": "fact"})
    [note_before], [memory_before] = await history(laptop, note), await history(laptop, memory, "memories")
    await entries.revert(note, note_before.id)
    await memories.revert(memory, memory_before.id)
    assert (await entries.get(note)).fields == {**fields, "starred": None}
    assert (await memories.get(memory)).fields == {"content": "c", "access": 6, "kind": None}


async def test_a_revert_can_be_reverted_however_soon(world: World) -> None:
    laptop, phone, note = await pair(world, title="One", body="one")
    entries = laptop.collection("entries")
    await entries.update(note, {"title": "Two", "body": "two"})
    await entries.update(note, {"body": "two and more"})
    [one] = await history(laptop, note)
    await entries.revert(note, one.id)
    now, _ = await history(laptop, note)
    assert now.fields == {"title": "Two", "body": "two and more"}
    await entries.revert(note, now.id)
    assert (await entries.get(note)).fields == now.fields
    await laptop.sync()
    await phone.sync()
    assert (await phone.collection("entries").get(note)).fields == now.fields


async def test_a_value_that_lost_is_told_on_every_device_and_can_be_taken(world: World) -> None:
    laptop, phone, note = await pair(world, title="One", source={"from": "start"})
    tablet = await world.added(laptop, "tablet")
    await tablet.sync()
    await laptop.collection("entries").update(note, {"source": {"from": "laptop"}})
    world.pass_s(1)
    await phone.collection("entries").update(note, {"source": {"from": "phone"}})
    for device in (phone, laptop, phone, tablet):
        await device.sync()
    for device in (laptop, phone, tablet):
        shown = (await device.collection("entries").get(note)).fields["source"]
        [loser] = [one for one in await history(device, note) if one.kind == "loser"]
        assert (shown, loser.fields) == ({"from": "phone"}, {"source": {"from": "laptop"}})
        assert (loser.device, loser.replaced_by) == (laptop.id, phone.id)
        assert loser.at_ms is not None and loser.at_ms <= int(world.clock.now_s * 1000) + 1000
    [loser, *_] = [one for one in await history(tablet, note) if one.kind == "loser"]
    await tablet.collection("entries").revert(note, loser.id)
    record = await tablet.collection("entries").get(note)
    assert record.fields == {"title": "One", "source": {"from": "laptop"}}


async def test_a_value_overwritten_by_one_who_saw_it_is_no_loser(world: World) -> None:
    laptop, phone, note = await pair(world, starred=False)
    await laptop.collection("entries").update(note, {"starred": True})
    await laptop.sync()
    await phone.sync()
    await phone.collection("entries").update(note, {"starred": False})
    await phone.sync()
    await laptop.sync()
    kinds = [version.kind for version in await history(laptop, note) + await history(phone, note)]
    assert set(kinds) == {"version"}


async def test_versions_go_after_30_days_and_not_before(world: World) -> None:
    laptop, _, note = await pair(world, title="One")
    await laptop.collection("entries").update(note, {"title": "Two"})
    world.pass_s(30 * DAY_S)
    await laptop.sync()
    assert await titles(laptop, note) == ["One"]
    world.pass_s(1)
    await laptop.sync()
    assert await titles(laptop, note) == []


async def test_they_also_go_on_a_device_that_never_syncs(world: World) -> None:
    device = await world.first()
    world.transport("laptop").down = True
    entries = device.collection("entries")
    note = await entries.create({"title": "0"})
    for number in range(1, 5):
        world.pass_s(20 * DAY_S)
        await entries.update(note, {"title": str(number)})
    assert await titles(device, note) == ["3", "2"]


async def test_a_clock_that_was_ahead_neither_keeps_for_ever_nor_takes_away_early(world: World) -> None:
    laptop, _, note = await pair(world, title="One")
    world.pass_s(10 * 365 * DAY_S)
    await laptop.collection("entries").update(note, {"title": "Two"})
    world.pass_s(-10 * 365 * DAY_S)
    await laptop.sync()
    world.pass_s(29 * DAY_S)
    await laptop.sync()
    assert await titles(laptop, note) == ["One"]
    world.pass_s(2 * DAY_S)
    await laptop.sync()
    assert await titles(laptop, note) == []


async def test_losers_of_long_ago_are_not_kept_by_a_device_that_joins_later(world: World) -> None:
    laptop, phone, note = await pair(world, starred=False)
    await laptop.collection("entries").update(note, {"starred": True})
    await phone.collection("entries").update(note, {"starred": None})
    for device in (laptop, phone, laptop):
        await device.sync()
    world.pass_s(31 * DAY_S)
    tablet = await world.added(laptop, "tablet")
    await tablet.sync()
    assert await history(tablet, note) == []


async def test_a_conflict_that_a_version_shares_is_not_decided_by_bringing_it_back(world: World) -> None:
    laptop, phone, note = await pair(world, title="Neither", body="one")
    await laptop.collection("entries").update(note, {"title": "Laptop's"})
    await phone.collection("entries").update(note, {"title": "Phone's"})
    for device in (laptop, phone, laptop):
        await device.sync()
    world.pass_s(10 * MINUTE_S)
    entries = laptop.collection("entries")
    await entries.update(note, {"body": "two"})
    version, *_ = await history(laptop, note)
    await entries.revert(note, version.id)
    record = await entries.get(note)
    assert (record.fields["body"], set(record.conflicts)) == ("one", {"title"})
    await entries.update(note, {"title": "decided"})
    await entries.revert(note, version.id)
    assert (await entries.get(note)).title == version.fields["title"]


async def test_a_device_that_reads_the_whole_log_keeps_no_versions_of_what_it_meets_on_the_way(
    world: World,
) -> None:
    laptop, phone, note = await pair(world, title="One", body="")
    for number in range(12):
        device, long = (laptop, phone)[number % 2], Random(number).randbytes(200_000).hex()
        await device.sync()
        await device.collection("entries").update(note, {"title": str(number), "body": long})
        await device.sync()
        world.pass_s(10 * MINUTE_S)
    await laptop.sync()
    assert len(await history(laptop, note)) == 12
    tablet = await world.added(laptop, "tablet")
    pulls: list[Request] = []

    def slowly(request: Request, answer: Answer) -> Answer:
        if request.path == "/sync/pull":
            pulls.append(request)
            world.pass_s(10 * MINUTE_S)
        return answer

    world.transport("tablet").meddle = slowly
    await tablet.sync()
    assert len(pulls) > 1
    assert await history(tablet, note) == []
    world.pass_s(10 * MINUTE_S)
    await phone.sync()
    await phone.collection("entries").update(note, {"title": "Now"})
    await phone.sync()
    await tablet.sync()
    assert await titles(tablet, note) == ["11"]


async def test_what_was_written_here_since_the_last_sync_is_kept_when_the_next_one_overwrites_it(
    world: World,
) -> None:
    laptop, phone, note = await pair(world, source="start")
    await laptop.collection("entries").update(note, {"source": "laptop"})
    world.pass_s(1)
    await phone.collection("entries").update(note, {"source": "phone"})
    await phone.sync()
    await laptop.sync()
    versions = [version for version in await history(laptop, note) if version.kind == "version"]
    assert [(version.fields["source"], version.device) for version in versions] == [
        ("laptop", laptop.id),
        ("start", laptop.id),
    ]


async def test_numbers_of_versions_are_never_used_again(world: World) -> None:
    laptop, _, note = await pair(world, title="One")
    entries = laptop.collection("entries")
    await entries.update(note, {"title": "Two"})
    [first] = await history(laptop, note)
    world.pass_s(31 * DAY_S)
    await laptop.sync()
    await entries.update(note, {"title": "Three"})
    [second] = await history(laptop, note)
    assert second.id > first.id
    for unknown in (first.id, 10**6):
        with pytest.raises(EcholiaError, match="version_unknown"):
            await entries.revert(note, unknown)


async def test_what_is_not_here_has_no_history(world: World) -> None:
    device = await world.first()
    note = await device.collection("entries").create({"title": "x"})
    for collection, id_ in (("entries", "00" * 16), ("memories", note)):
        with pytest.raises(EcholiaError, match="object_unknown"):
            await history(device, id_, collection)
        with pytest.raises(EcholiaError, match="object_unknown"):
            await device.collection(collection).revert(id_, 1)


async def test_a_home_of_before_there_was_history_goes_on(world: World) -> None:
    device = await world.first()
    note = await device.collection("entries").create({"title": "One"})
    await device.aclose()
    downgrade(world.folder / "laptop" / "echolia.db", MIGRATIONS.index(_HISTORY))
    async with await Device.open(world.folder / "laptop", **world.around("laptop")) as again:
        await again.collection("entries").update(note, {"title": "Two"})
        [version] = await again.collection("entries").history(note)
        assert (version.fields, version.device) == ({"title": "One"}, "")
        assert (await again.collection("memories").sources(await _citing(again, note)))[0].record is not None


async def _citing(device: Device, note: str) -> str:
    return await device.collection("memories").create({"content": "x", "sources": [note]})
