"""A mass change of other devices waits for the person: counted, previewed, accepted or rewound."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from echolia.client import BrakeLimits, Changed, Device, EcholiaError
from echolia.client.brakes import Losses
from echolia.client.transport import Answer, Request
from tests.client.test_convergence import states
from tests.support.devices import InProcess, Meddler, World

HELD = 100


async def caught(device: Device) -> str:
    """The code that a sync ends with."""
    with pytest.raises(EcholiaError) as error:
        await device.sync()
    return error.value.code


async def full(world: World, held: int = HELD) -> tuple[Device, Device, list[str]]:
    """Two devices that both show the same entries."""
    laptop = await world.first()
    phone = await world.added(laptop)
    notes = await laptop.collection("entries").create_many(
        {"title": f"note {number}", "body": f"text {number}", "tags": ["old"]} for number in range(held)
    )
    for device in (laptop, phone, laptop):
        await device.sync()
    return laptop, phone, notes


async def delete(device: Device, notes: Sequence[str]) -> None:
    """Put these into the Trash and sync."""
    async with device.batch() as batch:
        for note in notes:
            batch.delete("entries", note)
    await device.sync()


async def overwrite(device: Device, notes: Sequence[str], **fields: Any) -> None:
    """Give these other values and sync."""
    async with device.batch() as batch:
        for note in notes:
            batch.update("entries", note, fields or {"title": "gone", "body": "gone", "tags": ["new"]})
    await device.sync()


async def test_a_mass_deletion_waits_and_nothing_is_touched(world: World) -> None:
    laptop, phone, notes = await full(world)
    told: list[Changed] = []
    laptop.on_change(told.append)
    await delete(phone, notes[:60])
    before = states(laptop)
    assert await caught(laptop) == "mass_change"
    assert states(laptop) == before
    assert await laptop.collection("entries").count() == HELD
    found = await laptop.brake()
    assert found is not None
    assert (found.held, found.deletions, found.overwrites, found.complete) == (HELD, 60, 0, True)
    assert found.devices == {phone.id: (60, 0)}
    assert {one.title for one in found.examples} <= {f"note {number}" for number in range(60)}
    assert len(found.examples) == 10 and all(one.deleted for one in found.examples)
    assert (await laptop.status()).brake == found
    assert [one.braked for one in told] == [True]


async def test_it_is_told_once_and_does_not_ask_for_what_it_knows(world: World) -> None:
    laptop, phone, notes = await full(world)
    await delete(phone, notes)
    told: list[Changed] = []
    laptop.on_change(told.append)
    assert await caught(laptop) == "mass_change"
    transport = world.transport("laptop")
    transport.asked.clear()
    assert await caught(laptop) == "mass_change"
    assert "/sync/pull" not in {request.path for request in transport.asked}
    assert len(told) == 1


async def test_edits_go_on_and_are_sent_while_it_waits(world: World) -> None:
    laptop, phone, notes = await full(world)
    await delete(phone, notes[:60])
    assert await caught(laptop) == "mass_change"
    made = await laptop.collection("entries").create({"title": "meanwhile"})
    assert await caught(laptop) == "mass_change"
    await phone.sync()
    assert (await phone.collection("entries").get(made)).title == "meanwhile"
    found = await laptop.brake()
    assert found is not None and found.deletions == 60


async def test_it_stays_over_a_restart(world: World) -> None:
    laptop, phone, notes = await full(world)
    await delete(phone, notes[:60])
    assert await caught(laptop) == "mass_change"
    await laptop.aclose()
    again = await Device.open(world.folder / "laptop", **world.around("laptop"))
    world.stack.push_async_callback(again.aclose)
    assert (await again.brake()) is not None
    assert await caught(again) == "mass_change"
    await again.release("accept")
    assert await again.collection("entries").count() == 40


async def test_accepting_applies_it_as_it_is(world: World) -> None:
    laptop, phone, notes = await full(world)
    await delete(phone, notes[:60])
    assert await caught(laptop) == "mass_change"
    report = await laptop.release("accept")
    assert (report.pulled, report.rewound) == (60, None)
    assert await laptop.brake() is None
    assert states(laptop) == states(phone)
    await delete(phone, notes[60:70])  # what was accepted is not counted again
    await laptop.sync()
    assert await laptop.collection("entries").count() == 30


async def test_below_the_limits_nothing_is_stopped(world: World) -> None:
    laptop, phone, notes = await full(world)
    await delete(phone, notes[:25])
    await overwrite(phone, notes[25:60])
    await laptop.sync()
    assert await laptop.collection("entries").count() == 75
    assert await laptop.brake() is None


async def test_few_are_never_a_mass(world: World) -> None:
    laptop, phone, notes = await full(world, 19)
    await overwrite(phone, notes)
    await delete(phone, notes)
    await laptop.sync()
    assert await laptop.collection("entries").count() == 0


async def test_a_mass_of_overwrites(world: World) -> None:
    laptop, phone, notes = await full(world)
    await overwrite(phone, notes[:51])
    before = states(laptop)
    assert await caught(laptop) == "mass_change"
    assert states(laptop) == before
    found = await laptop.brake()
    assert found is not None
    assert (found.deletions, found.overwrites, found.devices) == (0, 51, {phone.id: (0, 51)})
    assert not any(one.deleted for one in found.examples)


@pytest.mark.parametrize("fields", [{"meta": {"mood": 1}}, {"tags": ["old", "more"]}, {"starred": True}])
async def test_what_takes_nothing_away_is_no_overwrite(world: World, fields: dict[str, Any]) -> None:
    laptop, phone, notes = await full(world)
    await overwrite(phone, notes, **fields)
    await laptop.sync()
    assert await laptop.brake() is None


async def test_titles_that_stand_side_by_side_are_no_overwrites(world: World) -> None:
    laptop, phone, notes = await full(world)
    async with laptop.batch() as batch:
        for note in notes:
            batch.update("entries", note, {"title": f"mine of {note}"})
    await overwrite(phone, notes, title="theirs")
    for device in (laptop, phone):  # one of them shows the other's title first
        await device.sync()
        assert (await device.status()).conflicts == HELD


async def test_counters_do_not_count(world: World) -> None:
    from echolia.client import Increment  # noqa: PLC0415

    laptop, phone, _ = await full(world, 1)
    seen = await laptop.collection("memories").create_many(
        {"content": str(number), "access": 1} for number in range(60)
    )
    for device in (laptop, phone, laptop):
        await device.sync()
    async with phone.batch() as batch:
        for one in seen:
            batch.update("memories", one, {"access": Increment()})
    await phone.sync()
    await laptop.sync()
    assert (await laptop.collection("memories").get(seen[0])).fields["access"] == 2


async def test_what_comes_in_portions_is_counted_together_for_an_hour(world: World) -> None:
    laptop, phone, notes = await full(world)
    for at in (0, 10):
        await delete(phone, notes[at : at + 10])
        await laptop.sync()
        world.pass_s(1200)
    await delete(phone, notes[20:30])
    assert await caught(laptop) == "mass_change"
    found = await laptop.brake()
    assert found is not None and (found.held, found.deletions) == (HELD, 30)
    await laptop.release("rewind")
    await laptop.sync()
    assert await laptop.collection("entries").count() == HELD


async def test_what_waits_does_not_pass_by_waiting(world: World) -> None:
    laptop, phone, notes = await full(world)
    await delete(phone, notes[:15])
    await laptop.sync()
    await delete(phone, notes[15:30])
    assert await caught(laptop) == "mass_change"
    world.pass_s(7200)
    await phone.collection("entries").create({"title": "news"})
    await phone.sync()
    assert await caught(laptop) == "mass_change"
    assert await laptop.collection("entries").count() == 85


async def test_a_decision_is_about_what_was_counted(world: World) -> None:
    laptop, phone, notes = await full(world)
    await delete(phone, notes[:60])
    assert await caught(laptop) == "mass_change"
    await delete(phone, notes[60:90])
    with pytest.raises(EcholiaError, match="mass_change"):
        await laptop.release("accept")
    assert await laptop.collection("entries").count() == 40
    found = await laptop.brake()
    assert found is not None and (found.held, found.deletions) == (40, 30)
    await laptop.release("rewind")
    assert await laptop.collection("entries").count() == 40
    await laptop.rewind()
    assert await laptop.collection("entries").count() == HELD


async def test_what_was_restored_since_is_not_counted(world: World) -> None:
    laptop, phone, notes = await full(world)
    await delete(phone, notes[:20])
    await laptop.sync()
    async with phone.batch() as batch:
        for note in notes[:20]:
            batch.restore("entries", note)
    await delete(phone, notes[20:40])
    await laptop.sync()
    assert await laptop.collection("entries").count() == 80


async def test_what_came_longer_ago_is_not_counted(world: World) -> None:
    laptop, phone, notes = await full(world)
    for gone in (notes[:20], notes[20:40], notes[40:55]):
        await delete(phone, gone)
        await laptop.sync()
        world.pass_s(3601)
    assert await laptop.collection("entries").count() == 45


async def test_what_is_put_right_again_stops_nobody(world: World) -> None:
    laptop, phone, notes = await full(world)
    await delete(phone, notes)
    assert await caught(laptop) == "mass_change"
    async with phone.batch() as batch:
        for note in notes:
            batch.restore("entries", note)
    await phone.sync()
    await laptop.sync()
    assert await laptop.brake() is None
    assert states(laptop) == states(phone)


async def test_a_device_that_is_revoked_for_it_takes_it_along(world: World) -> None:
    laptop, phone, notes = await full(world)
    await delete(phone, notes)
    assert await caught(laptop) == "mass_change"
    await laptop.revoke(phone.id)
    await laptop.sync()
    assert await laptop.brake() is None
    assert await laptop.collection("entries").count() == HELD


async def test_own_changes_that_come_back_never_brake(world: World) -> None:
    laptop, phone, notes = await full(world)
    await overwrite(laptop, notes)
    await delete(laptop, notes)
    await laptop.sync()
    assert await laptop.brake() is None
    assert await caught(phone) == "mass_change"


async def test_a_fresh_device_never_brakes(world: World) -> None:
    laptop, _, notes = await full(world)
    await overwrite(laptop, notes)
    await delete(laptop, notes)
    tablet = await world.added(laptop, "tablet")
    # Interrupted after each page, it holds what the next one overwrites or deletes.
    transport, pages = world.transport("tablet"), list[int]()
    narrow(transport)
    transport.meddle = one_page_then_away(pages)
    held = list[int]()
    while not await synced(tablet):
        held.append(await tablet.collection("entries").count())
        assert len(held) < 9, "it does not get on"
        pages.clear()
    assert held
    assert await tablet.collection("entries").count() == 0
    assert await tablet.brake() is None


async def synced(device: Device) -> bool:
    """Sync; whether the server stayed there long enough."""
    try:
        await device.sync()
    except EcholiaError as error:
        if error.code != "server_unreachable":
            raise
        return False
    return True


def one_page_then_away(pages: list[int]) -> Meddler:
    """A server that serves one page and is away afterwards, until `pages` is emptied."""

    def meddle(request: Request, answer: Answer) -> Answer:
        if request.path == "/sync/pull":
            if pages:
                raise EcholiaError("server_unreachable")
            pages.append(1)
        return answer

    return meddle


async def test_what_comes_and_goes_while_a_device_is_away_does_not_count(world: World) -> None:
    laptop, phone, _ = await full(world, 30)
    passing = await phone.collection("entries").create_many({"title": str(n)} for n in range(100))
    await phone.sync()
    await delete(phone, passing)
    narrow(world.transport("laptop"))
    await laptop.sync()
    assert await laptop.collection("entries").count() == 30


async def test_limits_are_the_apps(world: World) -> None:
    laptop, phone, notes = await full(world)
    await laptop.aclose()
    limits = BrakeLimits(deletions_share=0.02, deletions=2)
    strict = await Device.open(world.folder / "laptop", brake_limits=limits, **world.around("laptop"))
    world.stack.push_async_callback(strict.aclose)
    await delete(phone, notes[:2])
    await strict.sync()
    await delete(phone, notes[2:3])
    assert await caught(strict) == "mass_change"


def test_the_limits_are_more_than_a_share_and_at_least_so_many() -> None:
    limits = BrakeLimits()
    for losses, expected in (
        (Losses(25, 0, 100), False),
        (Losses(26, 0, 100), True),
        (Losses(19, 0, 19), False),
        (Losses(20, 0, 79), True),
        (Losses(20, 0, 80), False),
        (Losses(0, 50, 100), False),
        (Losses(0, 51, 101), True),
        (Losses(0, 49, 49), False),
    ):
        assert limits.exceeded(losses) is expected, losses
    assert not BrakeLimits(deletions_share=1, overwrites_share=1).exceeded(Losses(10**6, 10**6, 10**6))


async def test_much_that_waits_is_counted_as_far_as_is_affordable(world: World) -> None:
    laptop, phone, notes = await full(world)
    await delete(phone, notes[:60])
    for _ in range(10):
        await phone.collection("entries").create_many([{"title": "news"}] * 3)
        await phone.sync()
    narrow(world.transport("laptop"))
    assert await caught(laptop) == "mass_change"
    found = await laptop.brake()
    assert found is not None and found.deletions == 60 and not found.complete
    # The decision is about all that waited.
    await laptop.release("accept")
    assert await laptop.collection("entries").count() == 70


def narrow(transport: InProcess) -> None:
    """Serve pages of one run each."""
    honest = transport.ask_server

    async def ask(method: str, path: str, *, body: bytes | None = None, **rest: Any) -> Any:
        if path == "/sync/pull" and body is not None:
            body = json.dumps({**json.loads(body), "max_bytes": 1}).encode()
        return await honest(method, path, body=body, **rest)

    transport.ask_server = ask  # type: ignore[assignment]  # all of it that is used here


async def test_watching_tells_it_and_ends(world: World) -> None:
    laptop, phone, notes = await full(world)
    await delete(phone, notes)
    watching = laptop.watch()
    assert (await anext(watching)).braked
    with pytest.raises(EcholiaError, match="mass_change"):
        await anext(watching)
