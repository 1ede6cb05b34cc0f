"""Conflicts: everything that waits for a decision is listed with its sides, told, and decided by a write."""

from __future__ import annotations

from typing import Any

import pytest

from echolia.client import Changed, Conflict, Device, EcholiaError, declare
from echolia.client.conflicts import WAITING
from tests.support.asgi import Answer, Asker
from tests.support.devices import World


async def pair(world: World, collection: str = "entries", **fields: Any) -> tuple[Device, Device, str]:
    """A laptop and a phone that share one object."""
    laptop = await world.first()
    phone = await world.added(laptop)
    made = await laptop.collection(collection).create(fields)
    for device in (laptop, phone):
        await device.sync()
    return laptop, phone, made


async def meet(*devices: Device) -> None:
    """Sync until all have everything."""
    for device in (*devices, *devices):
        await device.sync()


async def the_one(device: Device) -> Conflict:
    """The only thing that waits for a decision."""
    [conflict] = await device.conflicts()
    return conflict


async def titles_apart(world: World) -> tuple[Device, Device, str]:
    """Two titles that were written at the same time; both devices have both."""
    laptop, phone, note = await pair(world, title="Neither")
    await laptop.collection("entries").update(note, {"title": "Laptop's"})
    world.pass_s(60)
    await phone.collection("entries").update(note, {"title": "Phone's"})
    await meet(laptop, phone)
    return laptop, phone, note


async def test_each_value_has_its_device_and_the_time_it_was_logged(world: World) -> None:
    laptop, phone, note = await titles_apart(world)
    conflict = await the_one(laptop)
    assert (conflict.kind, conflict.record.id, list(conflict.sides)) == ("values", note, ["title"])
    sides = conflict.sides["title"]
    assert {(choice.value, choice.device) for choice in sides.choices} == {
        ("Laptop's", laptop.id),
        ("Phone's", phone.id),
    }
    times = [choice.at_ms for choice in sides.choices]
    now_ms = int(world.clock.now_s * 1000)
    assert all(at_ms is not None and now_ms - 60_000 <= at_ms <= now_ms + 1000 for at_ms in times)
    assert sides.merged == " / ".join(str(choice.value) for choice in sides.choices)
    assert (await the_one(phone)).sides == conflict.sides
    assert [choice.at_ms for choice in conflict.record.conflicts["title"]] == times


async def test_a_value_that_is_not_sent_yet_has_no_time(world: World) -> None:
    laptop, phone, note = await pair(world, title="Neither")
    await laptop.collection("entries").update(note, {"title": "Laptop's"})
    await laptop.sync()
    await phone.collection("entries").update(note, {"title": "Phone's"})
    await sync_without_push(world, "phone", phone)
    times = {choice.device: choice.at_ms for choice in (await the_one(phone)).sides["title"].choices}
    assert times[phone.id] is None
    assert times[laptop.id] is not None


async def test_a_time_that_the_device_has_forgotten_is_not_made_up(world: World) -> None:
    laptop, phone, _ = await titles_apart(world)
    await phone.collection("entries").create({"title": "later"})
    await meet(phone, laptop)
    # What `ledger.trim` does with what is half a year old.
    database = laptop._replica.database
    database.run("DELETE FROM runs WHERE seq < (SELECT max(seq) FROM runs)")
    times = {choice.device: choice.at_ms for choice in (await the_one(laptop)).sides["title"].choices}
    assert times == {laptop.id: None, phone.id: None}


class NoPushes(Asker):
    """A way to the server on which nothing is taken that a device sends."""

    async def __call__(self, method: str, target: str, *rest: Any, **more: Any) -> Answer:
        """See `Asker`."""
        if target.startswith("/sync/push"):
            return Answer(507, {}, b'{"code": "quota_exceeded"}')
        return await super().__call__(method, target, *rest, **more)


async def sync_without_push(world: World, name: str, device: Device) -> None:
    """Take what is new, and send nothing."""
    transport = world.transport(name)
    transport.ask_server = NoPushes(world.ask.app)
    held = (await device.sync()).held
    assert held is not None
    assert held.code == "quota_exceeded"
    transport.ask_server = world.ask


@pytest.mark.parametrize("choose", ["first", "last", "merged", "new"])
async def test_a_decision_is_a_write_and_what_it_replaces_stays_in_the_history(
    world: World, choose: str
) -> None:
    laptop, phone, note = await titles_apart(world)
    conflict = await the_one(phone)
    sides = conflict.sides["title"]
    value = {
        "first": sides.choices[0].value,
        "last": sides.choices[-1].value,
        "merged": sides.merged,
        "new": "Ours",
    }[choose]
    await phone.resolve_conflict(conflict, "title", value)
    await meet(phone, laptop)
    for device in (laptop, phone):
        assert await device.conflicts() == []
        record = await device.collection("entries").get(note)
        assert (record.title, record.conflicts) == (value, {})
        kept = (await device.collection("entries").history(note))[0]
        assert {choice.value for choice in kept.conflicts["title"]} == {"Laptop's", "Phone's"}


async def test_a_decision_about_values_that_are_not_the_same_any_more_is_refused(world: World) -> None:
    laptop, phone, note = await titles_apart(world)
    tablet = await world.added(laptop, "tablet")
    await tablet.sync()
    shown = await the_one(phone)
    before = await the_one(tablet)
    await laptop.resolve_conflict(await the_one(laptop), "title", "Decided")
    await tablet.resolve_conflict(before, "title", "Third")
    await meet(laptop, tablet, phone)
    for field in ("title", "body"):
        with pytest.raises(EcholiaError, match="conflict_changed"):
            await phone.resolve_conflict(shown, field, "mine")
    again = await the_one(phone)
    assert {choice.value for choice in again.sides["title"].choices} == {"Decided", "Third"}
    await phone.resolve_conflict(again, "title", "mine")
    with pytest.raises(EcholiaError, match="conflict_changed"):
        await phone.resolve_conflict(again, "title", "again")
    assert (await phone.collection("entries").get(note)).title == "mine"


async def test_lines_are_merged_line_by_line_and_other_values_not_at_all(world: World) -> None:
    laptop, phone, memory = await pair(world, "memories", content="likes\nherons\n")
    await laptop.collection("memories").update(memory, {"content": "likes\nowls\nherons\n"})
    await phone.collection("memories").update(memory, {"content": "likes\nherons\nrain\n"})
    await meet(laptop, phone)
    sides = (await the_one(laptop)).sides["content"]
    assert sides.merged == (await the_one(phone)).sides["content"].merged == "likes\nowls\nherons\nrain\n"
    await laptop.collection("memories").update(memory, {"content": 1})
    await phone.collection("memories").update(memory, {"content": "two"})
    await meet(laptop, phone)
    assert (await the_one(laptop)).sides["content"].merged is None


async def test_a_field_that_was_declared_differently_is_listed_and_settled_for_both(world: World) -> None:
    old, new = declare("moods", label="lww"), declare("moods", label="multi")
    laptop = await world.first()
    phone = await world.added(laptop)
    await laptop.aclose()
    await phone.aclose()
    opened = [
        await Device.open(world.folder / name, collections=[declared], **world.around(name))
        for name, declared in (("laptop", old), ("phone", new))
    ]
    for device in opened:
        world.stack.push_async_callback(device.aclose)
    laptop, phone = opened
    mood = await laptop.collection("moods").create({"label": "calm"})
    await phone.collection("moods").create({"label": "quiet"}, id=mood)
    await meet(laptop, phone)
    for device, shown in ((laptop, "calm"), (phone, "quiet")):
        conflict = await the_one(device)
        sides = conflict.sides["label"]
        assert (sides.mixed, sides.merged, conflict.record.fields["label"]) == (True, "calm / quiet", shown)
        assert [(choice.value, choice.device) for choice in sides.choices] == [
            ("calm", laptop.id),
            ("quiet", phone.id),
        ]
    await phone.resolve_conflict(await the_one(phone), "label", "calm")
    await meet(phone, laptop)
    for device in (laptop, phone):
        assert await device.conflicts() == []
        assert (await device.collection("moods").get(mood)).fields["label"] == "calm"


async def recovered(world: World) -> tuple[Device, Device, str]:
    """An entry that the laptop deleted while the phone edited it; both have both."""
    laptop, phone, note = await pair(world, title="Keep?")
    await laptop.collection("entries").delete(note)
    world.pass_s(60)
    await phone.collection("entries").update(note, {"title": "Keep!"})
    await meet(laptop, phone)
    return laptop, phone, note


async def test_what_was_deleted_while_it_was_edited_is_listed_with_both(world: World) -> None:
    laptop, phone, note = await recovered(world)
    for device in (laptop, phone):
        conflict = await the_one(device)
        assert (conflict.kind, conflict.record.id, conflict.record.title) == ("recovered", note, "Keep!")
        assert conflict.deletion is not None and conflict.deletion.device == laptop.id
        [edit] = conflict.edits
        assert edit.device == phone.id
        assert conflict.deletion.at_ms is not None and edit.at_ms is not None
        standing = await device.status()
        assert (standing.conflicts, standing.recovered, standing.trash) == (0, 1, 1)


@pytest.mark.parametrize("keep", [True, False])
async def test_it_comes_back_or_stays_as_one_decides_for_all(world: World, keep: bool) -> None:
    laptop, phone, note = await recovered(world)
    entries = laptop.collection("entries")
    await (entries.restore if keep else entries.delete)(note)
    await meet(laptop, phone)
    for device in (laptop, phone):
        assert await device.conflicts() == []
        record = await device.collection("entries").get(note)
        assert (record.alive, record.recovered, record.title) == (keep, False, "Keep!")


async def test_a_field_of_what_lies_in_the_trash_is_decided_once_it_is_back(world: World) -> None:
    laptop, phone, note = await titles_apart(world)
    await laptop.collection("entries").delete(note)
    await phone.collection("entries").update(note, {"starred": True})
    await meet(laptop, phone)
    conflict = await the_one(laptop)
    assert (conflict.kind, list(conflict.sides)) == ("recovered", ["title"])
    with pytest.raises(EcholiaError, match="object_in_trash"):
        await laptop.resolve_conflict(conflict, "title", "x")
    await laptop.collection("entries").restore(note)
    await laptop.resolve_conflict(await the_one(laptop), "title", "x")
    assert await laptop.conflicts() == []


async def test_a_deletion_that_is_not_sent_yet_is_the_newest(world: World) -> None:
    laptop, phone, note = await pair(world, title="Keep?")
    await phone.collection("entries").update(note, {"starred": True})
    await meet(phone, laptop)
    await phone.collection("entries").update(note, {"title": "Keep!"})
    await phone.sync()
    await laptop.collection("entries").delete(note)
    await sync_without_push(world, "laptop", laptop)
    conflict = await the_one(laptop)
    assert conflict.deletion is not None
    assert (conflict.deletion.device, conflict.deletion.at_ms) == (laptop.id, None)
    assert [edit.device for edit in conflict.edits] == [phone.id]


async def test_everybody_who_listens_is_told_of_each_once(world: World) -> None:
    laptop, phone, note = await pair(world, title="Neither")
    other = await laptop.collection("entries").create({"title": "Keep?"})
    await meet(laptop, phone)
    told: dict[str, list[frozenset[str]]] = {"laptop": [], "phone": []}
    changes: list[Changed] = []
    stop = laptop.on_conflict(told["laptop"].append)
    phone.on_conflict(told["phone"].append)
    phone.on_change(changes.append)
    await laptop.collection("entries").update(note, {"title": "Laptop's"})
    await laptop.collection("entries").delete(other)
    await phone.collection("entries").update(note, {"title": "Phone's"})
    await phone.collection("entries").update(other, {"title": "Keep!"})
    assert told == {"laptop": [], "phone": []}
    await laptop.sync()
    report = await phone.sync()
    assert told["phone"] == [frozenset({note, other})] == [report.changed.conflicts]
    await meet(laptop, phone)
    assert told["laptop"] == [frozenset({note, other})]
    assert [changed.conflicts for changed in changes if changed.conflicts] == told["phone"]
    stop()
    await laptop.collection("entries").restore(other)
    await meet(laptop, phone)
    assert len(told["laptop"]) == len(told["phone"]) == 1


async def test_taking_what_is_in_conflict_out_of_the_trash_tells_it_here(world: World) -> None:
    laptop, _, note = await titles_apart(world)
    await laptop.collection("entries").delete(note)
    assert await laptop.conflicts() == []
    told: list[frozenset[str]] = []
    laptop.on_conflict(told.append)
    await laptop.collection("entries").restore(note)
    assert told == [frozenset({note})]
    assert (await the_one(laptop)).record.id == note


async def test_watching_tells_of_conflicts_as_they_arrive(world: World) -> None:
    laptop, phone, note = await pair(world, title="Neither")
    await phone.collection("entries").update(note, {"title": "Phone's"})
    await phone.sync()
    await laptop.collection("entries").update(note, {"title": "Laptop's"})
    async for changed in laptop.watch():
        if changed.conflicts:
            assert changed.conflicts == {note}
            break


async def test_many_are_listed_newest_first_by_an_index(world: World) -> None:
    laptop, phone, _ = await pair(world, title="x")
    notes = await laptop.collection("entries").create_many([{"title": f"{n}"} for n in range(5)])
    await meet(laptop, phone)
    for number, note in enumerate(notes):
        world.pass_s(1)
        await laptop.collection("entries").update(note, {"title": f"laptop {number}"})
        await phone.collection("entries").update(note, {"title": f"phone {number}"})
    await meet(laptop, phone)
    listed = [conflict.record.id for conflict in await laptop.conflicts()]
    assert sorted(listed) == sorted(notes)
    assert [one.record.id for one in await laptop.conflicts(limit=2)] == listed[:2]
    plan = laptop._replica.database.rows(
        f"EXPLAIN QUERY PLAN SELECT id FROM objects WHERE {WAITING} ORDER BY updated_ms DESC, n DESC"
    )
    assert any("objects_waiting" in row[3] for row in plan)
