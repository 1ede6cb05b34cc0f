"""What a mass change did is undone by ordinary edits, and nothing else is."""

from __future__ import annotations

import pytest

from echolia.client import Device, EcholiaError, Increment, Rewound, SpliceText
from echolia.client import formers as formers_module
from tests.client.test_brakes import HELD, caught, delete, full, overwrite
from tests.client.test_convergence import states
from tests.support.devices import World

DAY_S = 86_400


async def shown(device: Device) -> dict[str, tuple[bool, dict[str, object]]]:
    """What each entry shows, in the Trash or not."""
    entries = device.collection("entries")
    listed = [*await entries.list(), *await entries.list(trash=True)]
    return {record.id: (record.alive, dict(record.fields)) for record in listed}


async def test_rewinding_restores_and_sets_back_and_syncs_as_edits(world: World) -> None:
    laptop, phone, notes = await full(world)
    before = await shown(laptop)
    await overwrite(phone, notes[:70])
    await delete(phone, notes[30:])
    assert await caught(laptop) == "mass_change"
    report = await laptop.release("rewind")
    assert report.rewound == Rewound(restored=70, set_back=70, left=0)
    assert await laptop.brake() is None
    assert await shown(laptop) == before
    assert (await laptop.status()).pending == 0
    await phone.sync()
    assert await shown(phone) == before
    assert states(laptop) == states(phone)


async def test_where_it_was_made_the_rewind_is_a_mass_change(world: World) -> None:
    laptop, phone, notes = await full(world)
    before = await shown(laptop)
    await overwrite(phone, notes)
    await laptop_rewinds(laptop)
    assert await caught(phone) == "mass_change"
    await phone.release("accept")
    assert await shown(phone) == before


async def test_a_device_that_saw_neither_sees_no_mass_change(world: World) -> None:
    laptop, phone, notes = await full(world)
    tablet = await world.added(laptop, "tablet")
    await tablet.sync()
    before = await shown(tablet)
    await overwrite(phone, notes)
    await laptop_rewinds(laptop)
    await tablet.sync()
    assert await shown(tablet) == before


async def laptop_rewinds(laptop: Device) -> None:
    """Meet the mass change and rewind it."""
    assert await caught(laptop) == "mass_change"
    await laptop.release("rewind")


async def test_what_was_written_here_meanwhile_stays(world: World) -> None:
    laptop, phone, notes = await full(world)
    await overwrite(phone, notes)
    assert await caught(laptop) == "mass_change"
    entries = laptop.collection("entries")
    await entries.update(notes[0], {"starred": True, "body": [SpliceText(0, 0, "mine, ")]})
    report = await laptop.release("rewind")
    assert report.rewound == Rewound(restored=0, set_back=HELD, left=0)
    record = await entries.get(notes[0])
    assert record.fields == {
        "title": "note 0", "body": "mine, text 0", "tags": ["old"], "starred": True,
    }  # fmt: skip


async def test_counters_are_never_set_back(world: World) -> None:
    laptop, phone, notes = await full(world, 60)
    memories = laptop.collection("memories")
    seen = await memories.create_many({"content": str(number), "access": 1} for number in range(60))
    for device in (laptop, phone, laptop):
        await device.sync()
    async with phone.batch() as batch:
        for one in seen:
            batch.update("memories", one, {"access": Increment(), "content": "gone"})
    await overwrite(phone, notes)
    await laptop_rewinds(laptop)
    assert (await memories.get(seen[7])).fields == {"content": "7", "access": 2}


async def test_only_what_the_culprits_did_is_undone(world: World) -> None:
    laptop, phone, notes = await full(world)
    tablet = await world.added(laptop, "tablet")
    for device in (tablet, laptop):
        await device.sync()
    await overwrite(tablet, notes[:3], title="by the tablet")
    await delete(phone, notes[50:])
    assert await caught(laptop) == "mass_change"
    found = await laptop.brake()
    assert found is not None and found.devices == {tablet.id: (0, 3), phone.id: (50, 0)}
    report = await laptop.release("rewind")
    assert report.rewound == Rewound(restored=50, set_back=0, left=0)
    assert (await laptop.collection("entries").get(notes[0])).title == "by the tablet"


async def test_a_decision_without_a_server_is_carried_out_later(world: World) -> None:
    laptop, phone, notes = await full(world)
    before = await shown(laptop)
    await delete(phone, notes)
    assert await caught(laptop) == "mass_change"
    world.transport("laptop").down = True
    with pytest.raises(EcholiaError, match="server_unreachable"):
        await laptop.release("rewind")
    assert await laptop.brake() is None
    assert await shown(laptop) == before
    world.transport("laptop").down = False
    report = await laptop.sync()
    assert report.rewound == Rewound(restored=HELD, set_back=0, left=0)
    assert await shown(laptop) == before


async def test_an_accepted_mass_change_can_be_rewound_for_thirty_days(world: World) -> None:
    laptop, phone, notes = await full(world)
    before = await shown(laptop)
    await delete(phone, notes[:60])
    assert await caught(laptop) == "mass_change"
    await laptop.release("accept")
    world.pass_s(29 * DAY_S)
    await laptop.sync()
    assert await laptop.rewind() == Rewound(restored=60, set_back=0, left=0)
    assert await shown(laptop) == before
    assert await laptop.rewind() == Rewound(0, 0, 0)
    await laptop.sync()
    assert (await laptop.status()).pending == 0


async def test_after_thirty_days_nothing_of_it_is_kept(world: World) -> None:
    laptop, phone, notes = await full(world)
    await delete(phone, notes[:60])
    assert await caught(laptop) == "mass_change"
    await laptop.release("accept")
    world.pass_s(31 * DAY_S)
    await laptop.sync()
    assert await laptop.rewind() == Rewound(0, 0, 0)
    for table in ("former", "brakes"):
        assert laptop._replica.database.value(f"SELECT count(*) FROM {table}") == 0


async def test_what_stayed_below_the_limit_can_be_rewound_for_a_day(world: World) -> None:
    laptop, phone, notes = await full(world)
    await overwrite(phone, notes[:10])
    await laptop.sync()
    world.pass_s(7200)
    before = await shown(laptop)
    since_ms = int(world.clock.now_s * 1000)
    world.pass_s(60)
    await delete(phone, notes[:20])
    await laptop.sync()
    assert await laptop.rewind(since_ms) == Rewound(restored=20, set_back=0, left=0)
    assert await shown(laptop) == before
    world.pass_s(2 * DAY_S)
    await laptop.sync()
    assert await laptop.rewind(0) == Rewound(0, 0, 0)


async def test_what_was_edited_here_since_is_left(world: World) -> None:
    laptop, phone, notes = await full(world)
    await overwrite(phone, notes[:5], title="theirs")
    await laptop.sync()
    await laptop.collection("entries").update(notes[0], {"title": "mine"})
    assert await laptop.rewind(0) == Rewound(restored=0, set_back=4, left=1)
    titles = [(await laptop.collection("entries").get(note)).title for note in notes[:3]]
    assert titles == ["mine", "note 1", "note 2"]


async def test_what_was_edited_here_in_between_is_what_counts(world: World) -> None:
    laptop, phone, notes = await full(world)
    await overwrite(phone, notes[:1], title="theirs")
    await laptop.sync()
    await laptop.collection("entries").update(notes[0], {"title": "mine"})
    for device in (laptop, phone):
        await device.sync()
    await overwrite(phone, notes[:1], title="theirs again")
    await laptop.sync()
    await laptop.rewind(0)
    assert (await laptop.collection("entries").get(notes[0])).title == "mine"


async def test_typing_elsewhere_is_kept_once_a_minute(world: World) -> None:
    laptop, phone, notes = await full(world, 1)
    for number in range(10):
        await overwrite(phone, notes, body=f"typed {number}")
        await laptop.sync()
        world.pass_s(2)
    assert laptop._replica.database.value("SELECT count(*) FROM former") == 1
    await laptop.rewind(0)
    assert (await laptop.collection("entries").get(notes[0])).fields["body"] == "text 0"


async def test_a_deletion_is_undone_without_the_edit_a_moment_before(world: World) -> None:
    laptop, phone, notes = await full(world, 1)
    await overwrite(phone, notes, title="better")
    await laptop.sync()
    world.pass_s(10)
    since_ms = int(world.clock.now_s * 1000)
    await delete(phone, notes)
    await laptop.sync()
    assert await laptop.rewind(since_ms) == Rewound(restored=1, set_back=0, left=0)
    assert (await laptop.collection("entries").get(notes[0])).title == "better"


async def test_while_one_waits_no_other_is_rewound(world: World) -> None:
    laptop, phone, notes = await full(world)
    await delete(phone, notes)
    assert await caught(laptop) == "mass_change"
    with pytest.raises(EcholiaError, match="mass_change"):
        await laptop.rewind(0)


async def test_an_object_that_cannot_be_edited_holds_up_no_other(world: World) -> None:
    laptop, phone, notes = await full(world)
    await delete(phone, notes)
    assert await caught(laptop) == "mass_change"
    await laptop.release("accept")
    quarantined = (bytes.fromhex(phone.id), 10**6, bytes.fromhex(notes[0]), "body_invalid", b"", 0)
    laptop._replica.database.run("INSERT INTO quarantine VALUES (?, ?, ?, ?, ?, ?)", *quarantined)
    assert await laptop.rewind() == Rewound(restored=HELD - 1, set_back=0, left=1)


async def test_a_rewind_that_is_interrupted_goes_on(world: World) -> None:
    laptop, phone, notes = await full(world, 220)
    before = await shown(laptop)
    await delete(phone, notes)
    assert await caught(laptop) == "mass_change"

    def stop(_: object) -> None:
        raise InterruptedError

    await laptop._replica.run(_decided, laptop)
    unsubscribe = laptop.on_change(lambda changed: stop(changed) if restores(laptop) else None)
    with pytest.raises(InterruptedError):
        await laptop.sync()
    unsubscribe()
    assert 0 < await laptop.collection("entries").count() < 220
    await laptop.sync()
    assert await shown(laptop) == before


def _decided(device: Device) -> None:
    device._replica.database.run("UPDATE brakes SET stage = 'rewinding'")


def restores(device: Device) -> bool:
    """Whether the rewind has begun."""
    return bool(device._replica.database.value("SELECT count(*) FROM outbox"))


def test_a_former_version_says_what_a_value_was() -> None:
    assert formers_module.digest(1) != formers_module.digest(True) != formers_module.digest(1.0)
