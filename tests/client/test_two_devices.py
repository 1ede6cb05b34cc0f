"""Two devices of one account: what one writes the other shows, whatever they did meanwhile."""

from __future__ import annotations

from tests.support.devices import World


async def test_an_entry_travels(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    entries = laptop.collection("entries")
    note = await entries.create(
        {"title": "Monday", "body": "Rain again.", "tags": ["weather"], "starred": True}
    )
    sent = await laptop.sync()
    assert sent.pushed == 1
    assert (await laptop.status()).pending == 0
    got = await phone.sync()
    assert got.pulled == 1
    assert got.changed.objects == {note}
    record = await phone.collection("entries").get(note)
    assert record.fields == {
        "title": "Monday", "body": "Rain again.", "tags": ["weather"], "starred": True,
    }  # fmt: skip
    assert record == await entries.get(note)
