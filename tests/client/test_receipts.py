"""A receipt says which devices hold an object, and only what they have signed."""

from __future__ import annotations

from typing import Any

import pytest

from echolia.client import Device, EcholiaError, Receipt
from tests.support.devices import World, documents


async def three(world: World) -> tuple[Device, Device, Device]:
    """Three devices that have synced."""
    laptop = await world.first()
    phone, tablet = await world.added(laptop, "phone"), await world.added(laptop, "tablet")
    for device in (laptop, phone, tablet):
        await device.sync()
    return laptop, phone, tablet


def on(*devices: Device) -> tuple[str, ...]:
    """Their ids, as a receipt lists them."""
    return tuple(sorted(device.id for device in devices))


async def test_it_grows_with_each_acknowledgement(world: World) -> None:
    laptop, phone, tablet = await three(world)
    entries = laptop.collection("entries")
    note = await entries.create({"title": "one"})
    assert await entries.receipt(note) == Receipt(on(laptop), on(phone, tablet), pending=True)
    await laptop.sync()
    assert await entries.receipt(note) == Receipt(on(laptop), on(phone, tablet), pending=False)
    await phone.sync()
    await laptop.sync()
    receipt = await entries.receipt(note)
    assert receipt == Receipt(on(laptop, phone), on(tablet), pending=False)
    assert receipt.devices == 3
    await tablet.sync()
    assert await entries.receipt(note) == receipt, "as fresh as the last sync"
    await laptop.sync()
    assert await entries.receipt(note) == Receipt(on(laptop, phone, tablet), (), pending=False)
    assert await entries.receipts([note, "00" * 16]) == {note: await entries.receipt(note)}


async def test_a_new_version_begins_anew(world: World) -> None:
    laptop, phone, tablet = await three(world)
    note, other = await laptop.collection("entries").create_many([{"title": "one"}, {"title": "two"}])
    for device in (laptop, phone, tablet, laptop):
        await device.sync()
    await phone.collection("entries").update(note, {"title": "phone's"})
    assert (await phone.collection("entries").receipt(note)).on == on(phone)
    await phone.sync()
    await laptop.sync()
    entries = laptop.collection("entries")
    assert (await entries.receipt(other)).lacking == ()
    assert await entries.receipt(note) == Receipt(on(laptop, phone), on(tablet), pending=False)


async def test_the_summary_counts_what_is_not_everywhere(world: World) -> None:
    laptop, phone, tablet = await three(world)
    made = await laptop.collection("entries").create_many([{"title": str(n)} for n in range(5)])
    assert (await laptop.status()).not_everywhere == 5
    for device in (laptop, phone, laptop):
        await device.sync()
    assert (await laptop.status()).not_everywhere == 5
    await tablet.sync()
    await laptop.sync()
    assert (await laptop.status()).not_everywhere == 0
    await laptop.collection("entries").delete(made[0])
    await laptop.sync()
    assert (await laptop.status()).not_everywhere == 1


async def test_a_revoked_device_is_not_waited_for(world: World) -> None:
    laptop, phone, tablet = await three(world)
    note = await laptop.collection("entries").create({"title": "one"})
    for device in (laptop, phone, laptop):
        await device.sync()
    await laptop.revoke(tablet.id)
    assert (await laptop.collection("entries").receipt(note)).lacking == ()
    assert (await laptop.status()).not_everywhere == 0


async def test_a_device_alone_holds_everything(world: World) -> None:
    laptop = await world.first()
    note = await laptop.collection("entries").create({"title": "one"})
    assert (await laptop.status()).not_everywhere == 1
    await laptop.sync()
    assert await laptop.collection("entries").receipt(note) == Receipt(on(laptop), (), pending=False)
    assert (await laptop.status()).not_everywhere == 0


async def test_what_nobody_signed_counts_for_nothing(world: World) -> None:
    laptop, phone, tablet = await three(world)
    note = await laptop.collection("entries").create({"title": "one"})
    await laptop.sync()

    def claim(fields: dict[str, Any]) -> None:
        for ack in fields["acks"]:
            ack.update(seq=fields["head"]["seq"], log=fields["head"]["log"])

    world.transport("laptop").meddle = documents("/sync/status", claim)
    await laptop.sync()
    assert (await laptop.collection("entries").receipt(note)).lacking == on(phone, tablet)


async def test_an_older_acknowledgement_takes_nothing_back(world: World) -> None:
    laptop, phone, tablet = await three(world)
    older: list[Any] = []
    world.transport("laptop").meddle = documents("/sync/status", lambda fields: older.append(fields["acks"]))
    await laptop.sync()
    note = await laptop.collection("entries").create({"title": "one"})
    for device in (laptop, phone, tablet, laptop):
        await device.sync()
    world.transport("laptop").meddle = documents(
        "/sync/status", lambda fields: fields.update(acks=older[0])
    )  # fmt: skip
    await laptop.sync()
    assert (await laptop.collection("entries").receipt(note)).lacking == ()


async def test_what_is_not_here_has_no_receipt(world: World) -> None:
    laptop = await world.first()
    tag = await laptop.collection("tags").create({"name": "one"})
    for id_ in (tag, "00" * 16, "nonsense"):
        with pytest.raises(EcholiaError, match="object_unknown"):
            await laptop.collection("entries").receipt(id_)


async def test_a_home_from_before_claims_no_more_than_it_knows(world: World) -> None:
    laptop, phone, tablet = await three(world)
    note = await laptop.collection("entries").create({"title": "one"})
    for device in (laptop, phone, tablet, laptop):
        await device.sync()
    await laptop.aclose()
    downgrade(world)
    again = await Device.open(world.folder / "laptop", **world.around("laptop"))
    world.stack.push_async_callback(again.aclose)
    entries = again.collection("entries")
    assert (await entries.receipt(note)).lacking == ()
    later = await phone.collection("entries").create({"title": "two"})
    await phone.sync()
    await again.sync()
    assert (await entries.receipt(note)).lacking == ()
    assert (await entries.receipt(later)).on == on(again, phone)


def downgrade(world: World) -> None:
    """Make the laptop's home one that does not know yet where its objects stand in the log."""
    from echolia.client.database import Database  # noqa: PLC0415

    database = Database.open(world.folder / "laptop" / "echolia.db")
    for table in ("places", "former", "brakes"):
        database.run(f"DROP TABLE {table}")
    database.run("DELETE FROM meta WHERE name = 'held_until'")
    database.run("PRAGMA user_version = 4")
    database.close()
