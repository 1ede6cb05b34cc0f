"""Devices that hold the same changes show the same, whatever their clocks and the order of syncing."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from echolia.client import Add, Device, EcholiaError, Increment, Remove, SpliceText
from echolia.core.merge import canonical_view, decode
from tests.support.devices import World

DECADE_MS = 10 * 365 * 86_400_000
WORDS = ("rain", "sun", "wind", "fog", "ice")


def states(device: Device) -> dict[bytes, bytes]:
    """The canonical form of every object that the device shows."""
    rows = device._replica.database.rows("SELECT id, coalesce(shown, confirmed) FROM objects")
    return {id_: canonical_view(decode(raw)) for id_, raw in rows}


async def edit(device: Device, chance: Random, notes: list[str]) -> None:
    """One edit of some kind; edits that cannot be made change nothing."""
    entries, memories = device.collection("entries"), device.collection("memories")
    words = " ".join(chance.choices(WORDS, k=3))
    choice = chance.randrange(8)
    if choice == 0 or not notes:
        notes.append(await entries.create({"title": words, "body": words, "tags": [words[:3]]}))
        return
    note = chance.choice(notes)
    kinds: dict[int, dict[str, Any]] = {
        1: {"title": words},
        2: {"body": [SpliceText(0, 0, words)]},
        3: {"tags": Add(chance.choice(WORDS))},
        4: {"tags": Remove(chance.choice(WORDS)), "starred": chance.random() < 0.5},
        5: {"body": words, "created": chance.randrange(100)},
    }
    fields = kinds.get(choice, {})
    try:
        if fields:
            await entries.update(note, fields)
        elif choice == 6:
            await (entries.delete if chance.random() < 0.5 else entries.restore)(note)
        else:
            id_ = device.imported_id("test", note)
            await memories.put(id_, {"content": words})
            await memories.update(id_, {"access": Increment(chance.randrange(3))})
    except EcholiaError as error:
        if error.code not in {"object_unknown", "object_in_trash"}:
            raise


@pytest.mark.parametrize("seed", range(4))
async def test_three_devices_with_wild_clocks_agree(world: World, seed: int) -> None:
    chance = Random(seed)
    laptop = await world.first(skew_ms=DECADE_MS)
    phone = await world.added(laptop, "phone", -DECADE_MS)
    tablet = await world.added(laptop, "tablet")
    devices, notes = [laptop, phone, tablet], list[str]()
    for _ in range(60):
        device = chance.choice(devices)
        world.pass_s(chance.random())
        await (device.sync() if chance.random() < 0.2 else edit(device, chance, notes))
    for device in devices * 2:
        await device.sync()
    assert len(states(laptop)) > 3
    assert states(laptop) == states(phone) == states(tablet)
    for device in devices:
        status = await device.status()
        assert (status.pending, status.quarantined, status.evidence) == (0, (), ())


async def test_a_fast_clock_does_not_win_for_ever(world: World) -> None:
    fast = await world.first(skew_ms=DECADE_MS)
    right = await world.added(fast)
    note = await fast.collection("entries").create({"starred": True})
    await fast.sync()
    await right.sync()
    world.pass_s()
    await right.collection("entries").update(note, {"starred": False})
    await right.sync()
    await fast.sync()
    assert (await fast.collection("entries").get(note)).fields["starred"] is False


async def test_a_fast_clock_loses_to_what_was_written_after_it_was_logged(world: World) -> None:
    """Neither had seen the other's edit, so only the time at which the server logged it bounds the claim."""
    fast = await world.first(skew_ms=DECADE_MS)
    right = await world.added(fast)
    note = await right.collection("entries").create({"starred": False})
    await right.sync()
    await fast.sync()
    await fast.collection("entries").update(note, {"starred": True})
    await fast.sync()
    world.pass_s()
    await right.collection("entries").update(note, {"starred": False})
    for device in (right, fast, right):
        await device.sync()
    for device in (right, fast):
        assert (await device.collection("entries").get(note)).fields["starred"] is False


async def test_after_its_push_a_fast_clock_is_in_the_past_again(world: World) -> None:
    fast = await world.first(skew_ms=DECADE_MS)
    await fast.collection("entries").create({"starred": True})
    [(claimed,)] = fast._replica.database.rows("SELECT wall_ms FROM clock")
    await fast.sync()
    [(settled,)] = fast._replica.database.rows("SELECT wall_ms FROM clock")
    assert claimed - settled >= DECADE_MS - 1000


async def test_titles_written_apart_stand_side_by_side_until_one_is_chosen(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    note = await laptop.collection("entries").create({"title": "Old"})
    await laptop.sync()
    await phone.sync()
    await laptop.collection("entries").update(note, {"title": "From the laptop"})
    await phone.collection("entries").update(note, {"title": "From the phone"})
    await laptop.sync()
    report = await phone.sync()
    assert report.changed.conflicts == {note}
    record = await phone.collection("entries").get(note)
    choices = record.conflicts["title"]
    assert {(choice.value, choice.device) for choice in choices} == {
        ("From the laptop", laptop.id),
        ("From the phone", phone.id),
    }
    assert record.title in {"From the laptop", "From the phone"}
    assert (await phone.status()).conflicts == 1
    await phone.collection("entries").update(note, {"title": "Both"})
    await phone.sync()
    await laptop.sync()
    resolved = await laptop.collection("entries").get(note)
    assert (resolved.title, resolved.conflicts) == ("Both", {})


async def test_an_edit_beats_a_deletion_and_lies_recovered_in_the_trash(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    note = await laptop.collection("entries").create({"title": "Keep?"})
    await laptop.sync()
    await phone.sync()
    await laptop.collection("entries").delete(note)
    await phone.collection("entries").update(note, {"title": "Keep!"})
    for device in (laptop, phone, laptop):
        await device.sync()
    [record] = await laptop.collection("entries").list(trash=True)
    assert (record.id, record.title, record.recovered) == (note, "Keep!", True)
    await laptop.collection("entries").restore(note)
    assert [found.id for found in await laptop.collection("entries").list()] == [note]
