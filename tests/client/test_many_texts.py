"""A page that changes many texts in turns, more than a device keeps open, arrives to the letter."""

from __future__ import annotations

from echolia.client import SpliceText
from tests.support.devices import World

TEXTS = 40
ROUNDS = 4


async def test_many_texts_are_edited_in_turns_on_both_devices(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    ids = await laptop.collection("entries").create_many({"body": f"text {n}."} for n in range(TEXTS))
    await laptop.sync()
    await phone.sync()
    for turn in range(ROUNDS):
        for id_ in ids:
            await laptop.collection("entries").update(id_, {"body": SpliceText(0, 0, f"{turn} ")})
            if turn % 2:
                end = len(f"text {ids.index(id_)}.") + turn // 2 * 2
                await phone.collection("entries").update(id_, {"body": SpliceText(end, 0, f" {turn}")})
    for device in (laptop, phone, laptop):
        await device.sync()
    for device in (laptop, phone):
        shown = [(await device.collection("entries").get(id_)).fields["body"] for id_ in ids]
        assert shown == [f"3 2 1 0 text {n}. 1 3" for n in range(TEXTS)]
