"""The account key is rotated between two questions of a sync: what the new one seals is read at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from echolia.client import Device, EcholiaError
from echolia.client.transport import Answer, Request
from tests.client.test_brakes import delete, full
from tests.client.test_generations import NOTE, alike, generation, three
from tests.support.devices import World


def before_pulling(world: World, name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Let others do this once, after the named device has asked for the device log and before it pulls."""
    transport, done = world.transport(name), list[bool]()
    ask = transport.ask

    async def after_that(request: Request) -> Answer:
        if request.path == "/sync/pull" and not done:
            done.append(True)
            await work()
        return await ask(request)

    transport.ask = after_that  # type: ignore[method-assign]


async def renamed(device: Device) -> None:
    """Rotate, and seal an edit of the note with the new key."""
    await device.rotate()
    await device.collection("entries").update(NOTE, {"title": "renamed"})
    await device.sync()


async def test_what_is_sealed_with_the_new_key_is_never_set_aside(world: World) -> None:
    laptop, phone, _ = await three(world)
    before_pulling(world, "phone", lambda: renamed(laptop))
    report = await phone.sync()
    assert (report.quarantined, (await phone.status()).quarantined) == (0, ())
    assert generation(phone) == 2
    assert (await phone.collection("entries").get(NOTE)).title == "renamed"
    await phone.collection("entries").update(NOTE, {"body": "one two"})
    await alike(laptop, phone)


async def test_a_new_device_reads_a_checkpoint_of_a_newer_key(world: World) -> None:
    laptop = await world.first()
    await laptop.collection("entries").create({"title": "first"}, id=NOTE)
    await laptop.sync()
    phone = await world.added(laptop)

    async def much() -> None:
        await renamed(laptop)
        await laptop.collection("entries").create_many({"title": f"note {n}"} for n in range(150))
        await laptop.sync()

    transport, ask = world.transport("phone"), world.transport("phone").ask

    async def after_that(request: Request) -> Answer:
        if request.path == "/sync/checkpoint" and generation(laptop) == 1:
            await much()
        return await ask(request)

    transport.ask = after_that  # type: ignore[method-assign]
    assert (await phone.sync()).quarantined == 0
    assert (await phone.collection("entries").get(NOTE)).title == "renamed"
    await alike(laptop, phone)


async def test_without_an_answer_the_page_waits_for_the_next_sync(world: World) -> None:
    laptop, phone, _ = await three(world)
    before_pulling(world, "phone", lambda: renamed(laptop))

    def meddle(request: Request, answer: Answer) -> Answer:
        if request.path == "/auth/key-boxes":
            raise EcholiaError("server_unreachable")
        return answer

    world.transport("phone").meddle = meddle
    with pytest.raises(EcholiaError, match="server_unreachable"):
        await phone.sync()
    await phone.collection("entries").update(NOTE, {"body": "one two"})
    world.transport("phone").meddle = None
    await alike(laptop, phone)
    record = await phone.collection("entries").get(NOTE)
    assert (record.title, record.fields["body"]) == ("renamed", "one two")


async def test_what_is_put_right_with_the_new_key_is_no_mass_change(world: World) -> None:
    laptop, phone, notes = await full(world)
    await delete(phone, notes[:60])
    await phone.collection("entries").create_many({"body": "rain " * 4000} for _ in range(150))
    await phone.sync()

    async def put_right() -> None:
        await phone.rotate()
        for note in notes[:60]:
            await phone.collection("entries").restore(note)
        await phone.sync()

    before_pulling(world, "laptop", put_right)
    await laptop.sync()
    assert await laptop.collection("entries").count() == 250
