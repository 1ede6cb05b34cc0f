"""A device starts from a checkpoint, comes back after long, and believes neither without proof."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from echolia.client import Device, EcholiaError, Increment
from echolia.client.transport import Answer, Request
from echolia.core.ids import b64, unb64
from echolia.core.push import ELIDED, Page, item_head, page_head, read_page
from tests.client.crash_stage import check_home, states
from tests.support.devices import World

DAY_S = 86_400
NOTE = "aa" * 16


async def filled(world: World, count: int = 150, text: str = "text") -> Device:
    """A laptop with a note that was edited often, and many others, all synced."""
    laptop = await world.first()
    entries = laptop.collection("entries")
    await entries.create({"title": "first", "body": "one two three", "starred": False}, id=NOTE)
    await laptop.sync()
    await entries.create_many({"title": f"note {n}", "body": f"{text} {n}"} for n in range(count))
    await entries.update(NOTE, {"starred": True, "body": "one two three four"})
    await entries.delete(NOTE)
    await entries.restore(NOTE)
    await laptop.sync()
    return laptop


async def alike(*devices: Device) -> None:
    """Everybody syncs twice; all show the same and stand by their homes."""
    for _ in range(2):
        for device in devices:
            await device.sync()
    for device in devices:
        check_home(device)
        assert (await device.status()).evidence == ()
    assert len({frozenset(states(device).items()) for device in devices}) == 1


def asked_of(world: World, name: str) -> list[dict[str, Any]]:
    """What a device asked the server to pull."""
    return [json.loads(one.body) for one in world.transport(name).asked if one.path == "/sync/pull"]


async def test_a_new_device_starts_from_a_checkpoint(world: World) -> None:
    laptop = await filled(world)
    phone = await world.added(laptop)
    assert (await phone.sync()).pulled > 150
    assert [bool(pull.get("base")) for pull in asked_of(world, "phone")] == [True, False]
    await alike(laptop, phone)
    await phone.collection("entries").update(NOTE, {"title": "by the phone"})
    await alike(phone, laptop)


async def test_the_newest_comes_first_and_an_interrupted_start_goes_on(world: World) -> None:
    laptop = await filled(world, 3000, "rain " * 200)
    phone = await world.added(laptop)
    pages = [0]

    def cut(request: Request, answer: Answer) -> Answer:
        pages[0] += request.path == "/sync/pull"
        if pages[0] >= 2:
            raise EcholiaError("server_unreachable")
        return answer

    world.transport("phone").meddle = cut
    with pytest.raises(EcholiaError):
        await phone.sync()
    titles = {record.title for record in await phone.collection("entries").list()}
    assert "note 2999" in titles
    assert "note 0" not in titles
    held = len(titles)
    await phone.collection("entries").update(NOTE, {"title": "edited before all was there"})
    world.transport("phone").meddle = None
    world.transport("phone").asked.clear()
    assert (await phone.sync()).pulled <= 3010 - held
    assert asked_of(world, "phone")[0]["before"]
    await alike(phone, laptop)


async def compacted(world: World, *devices: Device) -> None:
    """The undo window passes; everybody acknowledges; the server compacts."""
    for device in devices:
        await device.collection("entries").create({"title": "a sign of life"})
    await alike(*devices)
    world.pass_s(31 * DAY_S)
    await devices[0].collection("entries").create({"title": "after the undo window"})
    await alike(*devices)


async def base_of(world: World, device: Device) -> int:
    """The position up to which the server has compacted the account's log."""
    status: int = (await device._session.ask("GET", "/sync/status"))["base"]
    return status


async def test_a_device_that_was_away_for_long_loses_nothing(world: World) -> None:
    laptop = await filled(world)
    phone = await world.added(laptop)
    await alike(laptop, phone)
    entries = phone.collection("entries")
    gone, edited = [record.id for record in await entries.list(limit=3) if record.id != NOTE][:2]
    await entries.update(NOTE, {"body": "one two three four five"})
    mine = await entries.create({"title": "written away", "body": "on the island"})
    await entries.update(gone, {"title": "edited while it was deleted"})
    world.pass_s(100 * DAY_S)
    await laptop.collection("entries").delete(gone)
    await laptop.collection("entries").update(NOTE, {"title": "renamed", "body": "zero one two three four"})
    await laptop.collection("entries").create_many({"title": f"later {n}"} for n in range(1200))
    await laptop.sync()
    world.pass_s(100 * DAY_S)
    await laptop.collection("entries").update(edited, {"starred": True})
    await laptop.sync()
    assert await base_of(world, laptop) > 0
    await phone.sync()
    await alike(laptop, phone)
    record = await laptop.collection("entries").get(NOTE)
    assert record.fields["body"] == "zero one two three four five"
    assert record.title == "renamed"
    assert (await laptop.collection("entries").get(mine)).title == "written away"
    trashed = await laptop.collection("entries").get(gone)
    assert (trashed.alive, trashed.recovered, trashed.title) == (False, True, "edited while it was deleted")
    found = {one.record.id: one for one in await phone.conflicts()}
    assert {id_: one.kind for id_, one in found.items()} == {NOTE: "late", gone: "recovered"}
    assert found[NOTE].others == {"body": "zero one two three four"}
    assert (await phone.status()).late == 1


async def test_what_was_compacted_is_enough_for_a_new_device(world: World) -> None:
    laptop = await filled(world)
    phone = await world.added(laptop)
    await compacted(world, laptop, phone)
    await compacted(world, laptop, phone)
    assert await base_of(world, laptop) > 0
    tablet = await world.added(laptop, "tablet")
    await alike(laptop, phone, tablet)
    await tablet.collection("entries").update(NOTE, {"body": "by the tablet"})
    await alike(tablet, phone, laptop)


def base_pages(change: Callable[[Page], Page]) -> Callable[[Request, Answer], Answer]:
    """Pages of a base, changed on their way."""

    def meddle(request: Request, answer: Answer) -> Answer:
        if request.path != "/sync/pull" or b'"base"' not in request.body or answer.status != 200:
            return answer
        page = change(read_page(answer.body))
        parts = [page_head(page.more, page.head, len(page.items))]
        for item in page.items:
            parts += [item_head(*item[:3], len(item.content)), bytes(item.content)]
        return Answer(200, b"".join(parts))

    return meddle


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda page: page._replace(items=page.items[1:]), "history_withheld"),
        (lambda page: page._replace(items=[]), "history_withheld"),
        (lambda page: page._replace(items=page.items[::-1]), "log_rewritten"),
        (lambda page: page._replace(items=page.items[:1] * 2), "log_rewritten"),
        (
            lambda page: page._replace(items=[one._replace(form=ELIDED) for one in page.items]),
            "server_invalid",
        ),
    ],
)
async def test_a_base_that_is_not_the_checkpoints(
    world: World, change: Callable[[Page], Page], code: str
) -> None:
    laptop = await filled(world)
    phone = await world.added(laptop)
    unsent = await phone.collection("entries").create({"title": "unsent"})
    world.transport("phone").meddle = base_pages(change)
    with pytest.raises(EcholiaError) as caught:
        await phone.sync()
    assert caught.value.code == code
    assert (await phone.collection("entries").get(unsent)).title == "unsent"
    assert bool((await phone.status()).evidence) == (code != "server_invalid")


def checkpoints(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Request, Answer], Answer]:
    """The served checkpoint, changed on its way."""

    def meddle(request: Request, answer: Answer) -> Answer:
        if (request.method, request.path) != ("GET", "/sync/checkpoint"):
            return answer
        served = json.loads(answer.body)["checkpoints"]
        return Answer(200, json.dumps({"checkpoints": [change(one) for one in served]}).encode())

    return meddle


def flipped(text: str) -> str:
    """Base64url bytes with their last bit turned."""
    raw = bytearray(unb64(text))
    raw[-1] ^= 1
    return b64(bytes(raw))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda one: {**one, "signature": flipped(one["signature"])}, "chain_broken"),
        (lambda one: {**one, "checkpoint": flipped(one["checkpoint"])}, "chain_broken"),
        (lambda one: {**one, "device": b64(bytes(16))}, "ghost_device"),
        (lambda one: {"device": one["device"]}, "server_invalid"),
    ],
)
async def test_a_checkpoint_that_no_device_signed(
    world: World, change: Callable[[dict[str, Any]], dict[str, Any]], code: str
) -> None:
    laptop = await filled(world)
    phone = await world.added(laptop)
    world.transport("phone").meddle = checkpoints(change)
    with pytest.raises(EcholiaError) as caught:
        await phone.sync()
    assert caught.value.code == code
    if code != "server_invalid":
        answer = phone._replica.database.value("SELECT answer FROM evidence")
        assert "checkpoints" in json.loads(answer), "what was answered shows it"


@pytest.mark.parametrize("change", ["rotated", "added", "revoked"])
async def test_a_checkpoint_that_is_newer_than_the_device_log_is_no_lie(world: World, change: str) -> None:
    laptop = await filled(world)
    phone, tablet = await world.added(laptop), await world.added(laptop, "tablet")
    await tablet.sync()
    transport, asked = world.transport("phone"), list[str]()
    ask = transport.ask

    async def between(request: Request) -> Answer:
        if (request.method, request.path) != ("GET", "/sync/checkpoint"):
            return await ask(request)
        asked.append(request.path)
        if len(asked) > 1:
            return await ask(request)
        await laptop.rotate()
        author = {"rotated": laptop, "revoked": tablet}.get(change) or await world.added(laptop, "watch")
        await author.sync()
        await author.collection("entries").create_many({"title": f"more {n}"} for n in range(400))
        await author.sync()
        await author._syncing.before_pairing()
        answer = await ask(request)
        if change == "revoked":
            await laptop.revoke(tablet.id)  # which makes its checkpoint void
        return answer

    transport.ask = between  # type: ignore[method-assign]
    await phone.sync()
    assert len(asked) == 2
    await alike(laptop, phone)


async def test_counters_survive_a_start_in_the_middle_of_edits(world: World) -> None:
    laptop = await world.first()
    memories = laptop.collection("memories")
    memory = await memories.create({"content": "a heron", "access": 1})
    for _ in range(130):
        await memories.update(memory, {"access": Increment()})
    await laptop.sync()
    phone = await world.added(laptop)
    await phone.sync()
    await phone.collection("memories").update(memory, {"access": Increment(10)})
    await alike(phone, laptop)
    assert (await laptop.collection("memories").get(memory)).fields["access"] == 141
