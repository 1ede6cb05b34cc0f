"""The state that was edited last stays open, and counts only as long as it is what lies in the home."""

from __future__ import annotations

import pytest

from echolia.client import Device, EcholiaError, SpliceText
from tests.support.devices import World


async def body(device: Device, id_: str) -> object:
    return (await device.collection("entries").get(id_)).fields["body"]


async def edited_with_one_that_is_not_there(device: Device, id_: str) -> None:
    async with device.batch() as batch:
        batch.update("entries", id_, {"body": SpliceText(0, 0, "gone ")})
        batch.update("entries", "0" * 32, {"body": "nowhere"})


async def test_edits_follow_each_other(world: World) -> None:
    laptop = await world.first()
    entries = laptop.collection("entries")
    one, other = await entries.create_many([{"body": ""}, {"body": ""}])
    for number in range(4):
        await entries.update(one, {"body": SpliceText(number, 0, str(number))})
        await entries.update(other, {"body": SpliceText(0, 0, str(number))})
    await entries.update(one, {"body": SpliceText(0, 1, "")})
    assert (await body(laptop, one), await body(laptop, other)) == ("123", "3210")


async def test_an_edit_that_was_undone_is_not_what_the_next_builds_on(world: World) -> None:
    laptop = await world.first()
    entries = laptop.collection("entries")
    note = await entries.create({"body": "kept"})
    with pytest.raises(EcholiaError, match="object_unknown"):
        await edited_with_one_that_is_not_there(laptop, note)
    await entries.update(note, {"body": SpliceText(4, 0, "!")})
    assert await body(laptop, note) == "kept!"


async def test_what_another_device_wrote_meanwhile_is_built_on(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    note = await laptop.collection("entries").create({"body": "one"})
    for device in (laptop, phone):
        await device.sync()
    await laptop.collection("entries").update(note, {"body": SpliceText(3, 0, " three")})
    await phone.collection("entries").update(note, {"body": SpliceText(0, 0, "zero ")})
    for device in (laptop, phone, laptop):
        await device.sync()
    await laptop.collection("entries").update(note, {"body": SpliceText(8, 0, " two")})
    await laptop.sync()
    await phone.sync()
    assert await body(laptop, note) == await body(phone, note) == "zero one two three"
