"""Answers that no honest server gives, and objects that no honest device writes, stop nothing for good."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from echolia.client import Device, EcholiaError, SpliceText, membership, watching
from echolia.client.transport import Answer, Request
from echolia.core.errors import CODES, NEVER_ANSWERED
from echolia.core.ids import b64
from echolia.core.merge import ObjectState, canonical_view, decode, encode
from echolia.core.merge.life import Life
from echolia.core.merge.registers import Counter
from echolia.core.positions import log_start
from echolia.core.push import Page, read_page
from echolia.hostile.lie import write_page
from echolia.web.error_responses import STATUS
from tests.client.test_quarantine import spoil
from tests.support.devices import Meddler, World


def pages(change: Callable[[Page], Page]) -> Meddler:
    """Change every page that is served."""

    def meddle(request: Request, answer: Answer) -> Answer:
        if request.path != "/sync/pull" or answer.status != 200:
            return answer
        return Answer(200, write_page(change(read_page(answer.body))))

    return meddle


async def caught(device: Device) -> str:
    """The code that a sync ends with."""
    with pytest.raises(EcholiaError) as error:
        await device.sync()
    return error.value.code


def states(device: Device) -> dict[bytes, bytes]:
    """The canonical form of every object that the device shows."""
    rows = device._replica.database.rows("SELECT id, coalesce(shown, confirmed) FROM objects")
    return {id_: canonical_view(decode(raw)) for id_, raw in rows}


async def test_a_time_of_arrival_near_the_end_of_time(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    note = await laptop.collection("entries").create({"starred": True})
    world.clock.now_s = 2**48 / 1000 + 1
    for device in (laptop, phone):
        device._replica.database.run("DELETE FROM tokens")
        assert await caught(device) == "server_invalid"
    # Were it believed, no later time would be left to write at.
    await laptop.collection("entries").update(note, {"starred": False})
    assert laptop._replica.database.value("SELECT max(wall_ms) FROM outbox") < 2**48


async def test_the_page_of_a_ghost_is_the_evidence(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    await laptop.collection("entries").create({"starred": True})
    await laptop.sync()
    served: list[bytes] = []

    def ghostly(page: Page) -> Page:
        real, ghost = bytes.fromhex(laptop.id), bytes(16)
        items = [item._replace(content=bytes(item.content).replace(real, ghost)) for item in page.items]
        served.append(write_page(page._replace(items=items)))
        return page._replace(items=items)

    world.transport("phone").meddle = pages(ghostly)
    assert await caught(phone) == "ghost_device"
    assert phone._replica.database.value("SELECT answer FROM evidence") == served[-1]


@pytest.mark.parametrize(
    "fields",
    [{"expires_in": 10**30}, {"expires_in": -1}, {"access": "\ud800"}, {"refresh": "a\r\nb"}, {"access": ""}],
)
async def test_tokens_that_nobody_can_keep(world: World, fields: dict[str, Any]) -> None:
    device = await world.first()
    device._replica.database.run("DELETE FROM tokens")

    def meddle(request: Request, answer: Answer) -> Answer:
        told = {**json.loads(answer.body), **fields}
        return replace(answer, body=json.dumps(told).encode()) if request.path == "/auth/token" else answer

    world.transport("laptop").meddle = meddle
    assert await caught(device) == "server_invalid"


async def test_tokens_that_were_exchanged_for_another_devices(world: World) -> None:
    device, transport = await world.first(), world.transport("laptop")
    await device.sync()
    world.pass_s(1_000)

    def meddle(request: Request, answer: Answer) -> Answer:
        if request.path != "/auth/refresh":
            return answer
        told = {**json.loads(answer.body), "device": b64(bytes(16))}
        return replace(answer, body=json.dumps(told).encode())

    transport.meddle = meddle
    transport.asked.clear()
    await device.sync()
    assert [one.path for one in transport.asked][:3] == ["/auth/refresh", "/auth/challenge", "/auth/token"]


def test_codes_are_answered_or_never_answered() -> None:
    assert set(CODES) - set(STATUS) == NEVER_ANSWERED


@pytest.mark.parametrize("code", ["chain_broken", "device_log_invalid", "home_damaged", "disk_full"])
async def test_what_a_server_says_of_itself_is_no_evidence(world: World, code: str) -> None:
    device = await world.first()
    document = json.dumps({"code": code}).encode()
    world.transport("laptop").meddle = lambda request, answer: Answer(400, document)
    assert await caught(device) == ("server_invalid" if code in NEVER_ANSWERED else code)
    world.transport("laptop").meddle = None
    await device.sync()


async def test_a_second_reading_that_ends_too_early(world: World) -> None:
    laptop = await world.first()
    phone, tablet = await world.added(laptop, "phone"), await world.added(laptop, "tablet")
    await tablet.collection("entries").create({"title": "after the cut-off"})
    await tablet.sync()
    await phone.sync()
    await membership.revoke(laptop._replica, laptop._session, tablet.id)
    account = phone._replica.identity.account

    asked: list[Page] = []

    def emptied(page: Page) -> Page:
        asked.append(page)
        assert len(asked) < 9, "it asks for ever"
        return Page(False, log_start(account, page.head.epoch), [])

    world.transport("phone").meddle = pages(emptied)
    assert await caught(phone) == "log_rolled_back"


async def test_a_device_that_is_added_during_a_second_reading_is_no_ghost(world: World) -> None:
    laptop = await world.first()
    phone, tablet = await world.added(laptop, "phone"), await world.added(laptop, "tablet")
    await tablet.collection("entries").create({"title": "after the cut-off"})
    await tablet.sync()
    await phone.sync()
    await membership.revoke(laptop._replica, laptop._session, tablet.id)
    honest, added = world.transport("phone").ask_server, list[Device]()

    async def ask(method: str, path: str, **rest: Any) -> Any:
        found = await honest(method, path, **rest)
        if path.startswith("/auth/devices") and not added:
            added.append(await world.added(laptop, "watch"))
            await added[0].collection("entries").create({"title": "from the watch"})
            await added[0].sync()
        return found

    world.transport("phone").ask_server = ask  # type: ignore[assignment]  # all of it that is used here
    await phone.sync()
    assert [one.title for one in await phone.collection("entries").list()] == ["from the watch"]
    assert (await phone.status()).evidence == ()


async def test_pending_edits_are_not_joined_again_for_each_change_that_arrives(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    note = await laptop.collection("entries").create({"body": "start"})
    for device in (laptop, phone):
        await device.sync()
    for number in range(20):
        for device in (laptop, phone):
            await device.collection("entries").update(note, {"body": [SpliceText(0, 0, f"{number} ")]})
    await laptop.sync()
    read: list[str] = []
    phone._replica.database._connection.set_trace_callback(read.append)
    await phone.sync()
    assert sum("SELECT plaintext FROM outbox" in statement for statement in read) <= 4
    await laptop.sync()
    assert states(laptop) == states(phone)


async def test_one_id_in_two_collections_harms_one_change(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    id_ = "ab" * 16
    await laptop.collection("entries").create({"title": "first"}, id=id_)
    await phone.collection("tags").create({"name": "second"}, id=id_)
    later = await phone.collection("entries").create({"title": "later"})
    for device in (laptop, phone, laptop):
        await device.sync()
    assert states(laptop) == states(phone)
    for device in (laptop, phone):
        [named] = (await device.status()).quarantined
        assert (named.object, named.device, named.code) == (id_, phone.id, "body_invalid")
        assert {one.id for one in await device.collection("entries").list()} == {id_, later}
        assert (await device.status()).pending == 0


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda state: replace(state, life=Life(2**53 - 1, {})),
        lambda state: replace(
            state,
            fields={
                "created": Counter({bytes([n % 256, n // 256] * 8): (2**53 - 1, 0) for n in range(1100)})
            },
        ),
    ],
)
async def test_numbers_at_the_end_of_their_range(
    world: World, spoilt: Callable[[ObjectState], ObjectState]
) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    note = await laptop.collection("entries").create({"title": "one"})
    [(plaintext,)] = laptop._replica.database.rows("SELECT plaintext FROM outbox")
    spoil(laptop._replica, note, plaintext=encode(spoilt(decode(plaintext))))
    await laptop.sync()
    assert (await phone.sync()).pulled == 1
    entries = phone.collection("entries")
    with suppress(EcholiaError):
        await entries.delete(note)
    await entries.create({"title": "two"})
    await phone.sync()
    assert (await phone.status()).pending == 0


async def test_an_object_too_large_for_a_body_can_be_deleted_and_restored(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    entries, chance = laptop.collection("entries"), Random(1)
    note = await entries.create({"title": "long"})
    for _ in range(3):
        text = "".join(chr(chance.randrange(0x4E00, 0x9FFF)) for _ in range(150_000))
        await entries.update(note, {"body": [SpliceText(0, 0, text)]})
    await entries.delete(note)
    for device in (laptop, phone):
        await device.sync()
    [record] = await phone.collection("entries").list(trash=True)
    assert (record.id, record.recovered) == (note, False)
    await phone.collection("entries").restore(note)
    for device in (phone, laptop):
        await device.sync()
    assert [len(str(one.fields["body"])) for one in await entries.list()] == [450_000]
    assert states(laptop) == states(phone)


async def test_what_could_not_be_synced_while_watching_is_not_forgotten(world: World) -> None:
    device, moved = await world.first(), asyncio.Event()
    world.transport("laptop").down = True
    moved.set()
    with pytest.raises(EcholiaError, match="server_unreachable"):
        await watching._follow(device._syncing, moved)
    assert moved.is_set()


async def test_a_live_stream_that_is_refused_leads_to_a_sync(world: World) -> None:
    device, moved = await world.first(), asyncio.Event()
    await device.sync()

    async def lines(request: Request) -> AsyncIterator[str]:
        raise EcholiaError("server_unreachable", "live answered 401")
        yield ""

    world.transport("laptop").lines = lines  # type: ignore[method-assign]
    with pytest.raises(EcholiaError, match="server_unreachable"):
        await watching._Listening(device._replica, device._session, moved).connect()
    assert moved.is_set()


async def test_a_clock_that_was_ahead_does_not_order_lists_for_ever(world: World) -> None:
    laptop = await world.first(skew_ms=10 * 365 * 86_400_000)
    note = await laptop.collection("entries").create({"title": "from the future"})
    await laptop.sync()
    assert (await laptop.collection("entries").get(note)).updated_ms <= world.clock.now_s * 1000
