"""A server that lies is caught: the device stops, says at what, keeps the proof and all its edits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from echolia.client import Device, EcholiaError
from echolia.client.transport import Answer, Request
from echolia.core.ids import b64
from echolia.core.positions import LogPosition
from echolia.core.push import Item, Page, item_head, page_head, read_page
from echolia.core.runs import RUN_HEADER_BYTES
from tests.support.devices import InProcess, Meddler, World

Change = Callable[[Page], Page]


def write_page(page: Page) -> bytes:
    """The bytes of a page."""
    parts = [page_head(page.more, page.head, len(page.items))]
    for item in page.items:
        content = bytes(item.content)
        parts += [item_head(item.seq, item.received_ms, item.form, len(content)), content]
    return b"".join(parts)


def pages(change: Change) -> Meddler:
    """Change every page that is served."""

    def meddle(request: Request, answer: Answer) -> Answer:
        if request.path != "/sync/pull" or answer.status != 200:
            return answer
        return Answer(200, write_page(change(read_page(answer.body))))

    return meddle


def documents(path: str, change: Callable[[dict[str, Any]], None]) -> Meddler:
    """Change the JSON that is answered at a path."""

    def meddle(request: Request, answer: Answer) -> Answer:
        if not request.path.startswith(path) or answer.status != 200:
            return answer
        fields = json.loads(answer.body)
        change(fields)
        return Answer(200, json.dumps(fields).encode())

    return meddle


def flipped(item: Item, at: int) -> Item:
    """The item with one bit of its content changed."""
    content = bytearray(item.content)
    content[at] ^= 1
    return item._replace(content=bytes(content))


def without_first(page: Page) -> Page:
    """Omission: the first run is left out, the others move up."""
    first, *rest = page.items
    count = int.from_bytes(bytes(first.content[26:30]), "big")
    return page._replace(items=[item._replace(seq=item.seq - count) for item in rest])


LIES: dict[str, tuple[Change, str]] = {
    "a run left out": (without_first, "log_rewritten chain_broken"),
    "runs in another order": (
        lambda page: page._replace(items=[page.items[1], page.items[0], *page.items[2:]]),
        "log_rewritten",
    ),
    "a run twice": (lambda page: page._replace(items=[page.items[0], *page.items]), "log_rewritten"),
    "a body changed": (
        lambda page: page._replace(items=[flipped(page.items[0], -1), *page.items[1:]]),
        "chain_broken",
    ),
    "a signature changed": (
        lambda page: page._replace(items=[flipped(page.items[0], RUN_HEADER_BYTES - 1), *page.items[1:]]),
        "chain_broken",
    ),
    "a device that nobody added": (
        lambda page: page._replace(items=[flipped(page.items[0], 2), *page.items[1:]]),
        "ghost_device",
    ),
    "another time": (
        lambda page: page._replace(
            items=[page.items[0]._replace(received_ms=page.items[0].received_ms + 1), *page.items[1:]]
        ),
        "log_rewritten history_forked",
    ),
    "a time that goes back": (
        lambda page: page._replace(items=[page.items[0], page.items[1]._replace(received_ms=1)]),
        "log_rewritten",
    ),
    "another head": (lambda page: page._replace(head=page.head._replace(log=bytes(32))), "log_rewritten"),
    "fewer runs, and a head to match": (
        lambda page: Page(False, LogPosition(page.head.epoch, 0, bytes(32)), []),
        "log_rewritten log_rolled_back",
    ),
}


async def two_devices(world: World) -> tuple[Device, Device, InProcess]:
    """A phone with unsent edits before a log of two runs that it has not seen, and its way to the server."""
    laptop = await world.first()
    phone = await world.added(laptop)
    await phone.collection("entries").create({"title": "unsent"})
    for number in range(2):
        world.pass_s()
        await laptop.collection("entries").create({"title": f"note {number}"})
        await laptop.sync()
    return laptop, phone, world.transport("phone")


async def caught(device: Device) -> str:
    """The code that a sync ends with."""
    with pytest.raises(EcholiaError) as error:
        await device.sync()
    return error.value.code


@pytest.mark.parametrize("lie", sorted(LIES))
async def test_a_lie_about_the_log(world: World, lie: str) -> None:
    _, phone, transport = await two_devices(world)
    change, codes = LIES[lie]
    transport.meddle = pages(change)
    code = await caught(phone)
    assert code in codes.split()
    await stays_stopped(phone, transport, code)


async def stays_stopped(device: Device, transport: InProcess, code: str) -> None:
    """Nothing was taken, the edit is there, evidence is kept, and no honest face makes good for it."""
    assert [record.title for record in await device.collection("entries").list()] == ["unsent"]
    status = await device.status()
    assert [one.code for one in status.evidence] == [code]
    transport.meddle = None
    asked = len(transport.asked)
    assert await caught(device) == code
    assert len(transport.asked) == asked
    await device.collection("entries").create({"title": "still works"})


async def test_a_log_that_was_rolled_back(world: World) -> None:
    _, phone, transport = await two_devices(world)
    await phone.sync()
    transport.meddle = pages(lambda page: Page(False, page.head._replace(seq=page.head.seq - 1), []))
    assert await caught(phone) == "log_rolled_back"


async def test_a_server_that_lost_the_end_of_its_log_is_named_before_anything_is_sent(world: World) -> None:
    _, phone, transport = await two_devices(world)
    await phone.sync()
    await phone.collection("entries").create({"title": "unsent too"})

    def shorten(fields: dict[str, Any]) -> None:
        fields["head"]["seq"] -= 1

    transport.meddle = documents("/sync/status", shorten)
    assert await caught(phone) == "log_rolled_back"
    status = await phone.status()
    assert [each.code for each in status.evidence] == ["log_rolled_back"]
    assert status.pending == 1


async def test_news_that_another_device_has_acknowledged_are_withheld(world: World) -> None:
    laptop, phone, transport = await two_devices(world)
    await phone.sync()
    held: list[Page] = []

    def freeze(page: Page) -> Page:
        held.append(page)
        return held[0]._replace(items=[])

    transport.meddle = pages(freeze)
    await phone.sync()
    await laptop.collection("entries").create({"title": "news"})
    await laptop.sync()
    assert await caught(phone) == "log_rolled_back"


async def test_a_device_log_that_lost_its_last_entry(world: World) -> None:
    _, phone, transport = await two_devices(world)

    def shorten(fields: dict[str, Any]) -> None:
        fields["n"] -= 1

    transport.meddle = documents("/auth/devices", shorten)
    assert await caught(phone) == "log_rolled_back"


async def test_a_device_log_with_another_head(world: World) -> None:
    _, phone, transport = await two_devices(world)
    transport.meddle = documents("/auth/devices", lambda fields: fields.update(head=b64(bytes(32))))
    assert await caught(phone) == "device_log_invalid"


async def test_an_answer_to_a_push_that_names_another_log(world: World) -> None:
    laptop = await world.first()
    await laptop.collection("entries").create({"title": "one"})

    def rename(fields: dict[str, Any]) -> None:
        fields["runs"][0]["log"] = b64(bytes(32))

    world.transport("laptop").meddle = documents("/sync/push", rename)
    assert await caught(laptop) == "log_rewritten"
    assert (await laptop.status()).pending == 1


async def test_another_epoch_whose_log_does_not_follow_from_it_is_a_lie(world: World) -> None:
    _, phone, transport = await two_devices(world)
    await phone.sync()
    kept = await phone.collection("entries").count()
    await phone.collection("entries").create({"title": "unsent too"})
    transport.meddle = pages(lambda page: page._replace(head=page.head._replace(epoch=page.head.epoch + 1)))
    assert await caught(phone) == "log_rewritten"
    assert [one.code for one in (await phone.status()).evidence] == ["log_rewritten"]
    assert await phone.collection("entries").count() == kept + 1


@pytest.mark.parametrize("garbage", [b"", b"\x01", b"<html>", b"\x02" + bytes(64)])
async def test_garbage_is_refused_and_forgotten(world: World, garbage: bytes) -> None:
    _, phone, transport = await two_devices(world)
    transport.meddle = lambda request, answer: (
        Answer(200, garbage) if request.path == "/sync/pull" else answer
    )  # fmt: skip
    assert await caught(phone) in {"server_invalid", "unsupported_version"}
    transport.meddle = None
    assert (await phone.sync()).pulled == 2
