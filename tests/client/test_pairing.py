"""Pairing: a device joins by a code and six digits; nobody in between gets in, nothing half-done stays."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from echolia.client import Device, EcholiaError
from echolia.client.transport import Answer, Request
from echolia.core import canonical
from echolia.core.ids import b64, unb64
from echolia.core.positions import log_start
from echolia.core.push import Page, read_page
from echolia.e2ee.pairing import Code
from echolia.hostile.lie import write_page
from tests.support.devices import World


async def met(world: World, owner: Device, name: str = "phone") -> tuple[Any, Any, str]:
    """Both sides after the digits are shown, inside their blocks."""
    pairing = await owner.pair().__aenter__()
    joining = await Device.join(world.folder / name, pairing.code, **world.around(name)).__aenter__()
    guest = asyncio.create_task(pairing.guest())
    digits = await joining.digits()
    await guest
    return pairing, joining, digits


async def failed(work: Any) -> str:
    """The code that this ends with."""
    with pytest.raises(EcholiaError) as error:
        await work
    return error.value.code


def other(digits: str) -> str:
    """Six other digits."""
    return f"{(int(digits) + 1) % 10**6:06}"


async def test_a_device_joins(world: World) -> None:
    laptop = await world.first()
    pairing, joining, digits = await met(world, laptop)
    assert len(digits) == 6
    adding = asyncio.create_task(pairing.confirm(f" {digits[:3]} {digits[3:]}\n"))
    phone = await joining.finish()
    assert await adding == phone.id
    await joining.__aexit__(None, None, None)
    await pairing.__aexit__(None, None, None)
    assert (phone.account, phone.server) == (laptop.account, laptop.server)
    assert [(device.id, device.this) for device in await laptop.devices()] == [
        (laptop.id, True),
        (phone.id, False),
    ]
    assert phone.imported_id("notes", "a") == laptop.imported_id("notes", "a")
    tablet = await world.added(phone, "tablet")
    await tablet.sync()
    assert len(await tablet.devices()) == 3
    await phone.aclose()
    async with await Device.open(world.folder / "phone", **world.around("phone")) as again:
        assert again.id == phone.id
        await again.sync()


async def test_the_device_log_grows_while_the_code_is_shown(world: World) -> None:
    laptop = await world.first()
    tablet = await world.added(laptop, "tablet")
    async with laptop.pair() as pairing:
        await laptop.revoke(tablet.id)
        around = world.around("phone")
        async with Device.join(world.folder / "phone", pairing.code, **around) as joining:
            guest = asyncio.create_task(pairing.guest())
            digits = await joining.digits()
            await guest
            _, phone = await asyncio.gather(pairing.confirm(digits), joining.finish())
    assert [device.revoked for device in await phone.devices()] == [False, True, False]
    await phone.aclose()


async def test_wrong_digits_three_times(world: World) -> None:
    laptop = await world.first()
    pairing, joining, digits = await met(world, laptop)
    for wrong in (other(digits), "", "abcdef"):
        assert await failed(pairing.confirm(wrong)) == "pairing_check_failed"
    assert await failed(pairing.confirm(digits)) == "pairing_failed"
    assert await failed(joining.finish()) == "pairing_expired"
    await joining.__aexit__(None, None, None)
    assert await failed(Device.open(world.folder / "phone")) == "home_missing"
    assert len(await laptop.devices()) == 1


async def test_a_typing_error_is_forgiven(world: World) -> None:
    laptop = await world.first()
    pairing, joining, digits = await met(world, laptop)
    assert await failed(pairing.confirm(other(digits))) == "pairing_check_failed"
    _, phone = await asyncio.gather(pairing.confirm(digits), joining.finish())
    await phone.aclose()


async def test_leaving_the_block_gives_up(world: World) -> None:
    laptop = await world.first()
    async with laptop.pair() as pairing:
        code = pairing.code
    async with Device.join(world.folder / "phone", code, **world.around("phone")) as joining:
        assert await failed(joining.digits()) == "pairing_expired"
        assert await failed(joining.finish()) == "pairing_failed"


async def test_a_code_is_valid_for_two_minutes(world: World) -> None:
    laptop = await world.first()
    async with laptop.pair() as pairing:
        world.pass_s(121)
        async with Device.join(world.folder / "phone", pairing.code, **world.around("phone")) as joining:
            assert await failed(joining.digits()) == "pairing_expired"
        assert await failed(pairing.guest()) == "pairing_expired"


@pytest.mark.parametrize("text", ["", "echolia:", "echolia:AAAA", "hello", "echolia:" + "A" * 4000])
async def test_what_is_no_code(world: World, text: str) -> None:
    with pytest.raises(EcholiaError, match="pairing_code_invalid"):
        Device.join(world.folder / "phone", text)


async def test_a_code_with_its_secret_changed(world: World) -> None:
    laptop = await world.first()
    async with laptop.pair() as pairing:
        code = Code.decode(pairing.code)
        wrong = Code(code.server, code.mailbox, bytes(32)).encode()
        async with Device.join(world.folder / "phone", wrong, **world.around("phone")) as joining:
            assert await failed(joining.digits()) == "pairing_failed"


def altered(code: Code, side: Any, n: int, **fields: Any) -> Any:
    """A meddler that knows the code and changes a message of one side on its way."""

    def meddle(request: Request, answer: Answer) -> Answer:
        asked = f"/messages?side={'guest' if side == 'owner' else 'owner'}&n={n}&"
        if asked not in request.path or answer.status != 200:
            return answer
        contents = code.open(side, n, unb64(json.loads(answer.body)["message"]))
        sealed = code.seal(side, n, {**contents, **fields}, bytes)
        return Answer(200, json.dumps({"message": b64(sealed)}).encode())

    return meddle


async def test_somebody_who_knows_the_code_changes_the_owners_key(world: World) -> None:
    laptop = await world.first()
    async with laptop.pair() as pairing:
        world.transport("phone").meddle = altered(
            Code.decode(pairing.code), "owner", 0, eph=b"\x09" + bytes(31)
        )
        async with Device.join(world.folder / "phone", pairing.code, **world.around("phone")) as joining:
            guest = asyncio.create_task(pairing.guest())
            digits = await joining.digits()
            await guest
            assert await failed(pairing.confirm(digits)) == "pairing_check_failed"


async def test_somebody_who_knows_the_code_changes_the_guests_keys(world: World) -> None:
    laptop = await world.first()
    async with laptop.pair() as pairing:
        keys = canonical.encode(
            {"sign": bytes(32), "box": bytes(32), "eph": b"\x09" + bytes(31), "nonce": bytes(16)}
        )
        world.transport("laptop").meddle = altered(Code.decode(pairing.code), "guest", 1, reveal=keys)
        async with Device.join(world.folder / "phone", pairing.code, **world.around("phone")) as joining:
            guest = asyncio.create_task(pairing.guest())
            await joining.digits()
            assert await failed(guest) == "pairing_failed"


@pytest.mark.parametrize(
    "fields",
    [
        {"account": bytes(16)},
        {"log": []},
        {"log": None},
        {"log": [[b"", {}]]},
        {"eph": bytes(32)},
        {"eph": 1},
    ],
)
async def test_an_owner_who_tells_nonsense(world: World, fields: dict[str, Any]) -> None:
    laptop = await world.first()
    async with laptop.pair() as pairing:
        world.transport("phone").meddle = altered(Code.decode(pairing.code), "owner", 0, **fields)
        async with Device.join(world.folder / "phone", pairing.code, **world.around("phone")) as joining:
            guest = asyncio.create_task(pairing.guest())
            assert await failed(joining.digits()) == "pairing_failed"
            guest.cancel()


@pytest.mark.parametrize("fields", [{"mac": bytes(32)}, {"mac": None}, {"entry": b"\xa0"}, {"entry": 7}])
async def test_an_approval_that_was_not_given(world: World, fields: dict[str, Any]) -> None:
    laptop = await world.first()
    pairing, joining, digits = await met(world, laptop)
    world.transport("phone").meddle = altered(Code.decode(pairing.code), "owner", 1, **fields)
    confirming = asyncio.create_task(pairing.confirm(digits))
    assert await failed(joining.finish()) == "pairing_failed"
    confirming.cancel()
    assert len(await laptop.devices()) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"secrets": bytes(100)},
        {"secrets": None},
        {"entry": b"\xa0"},
        {"signatures": {}},
        {"signatures": 1},
        {"ack": None},
        {"ack": {"epoch": 0, "seq": 0, "log": bytes(32), "signature": bytes(64)}},
    ],
)
async def test_an_account_that_does_not_arrive_whole(world: World, fields: dict[str, Any]) -> None:
    laptop = await world.first()
    pairing, joining, digits = await met(world, laptop)
    world.transport("phone").meddle = altered(Code.decode(pairing.code), "owner", 2, **fields)
    confirming = asyncio.create_task(pairing.confirm(digits))
    assert await failed(joining.finish()) == "pairing_failed"
    await confirming
    assert await failed(Device.open(world.folder / "phone")) == "home_missing"


async def test_a_new_device_is_shown_what_the_one_that_added_it_had_seen(world: World) -> None:
    laptop = await world.first()
    await laptop.collection("entries").create({"title": "one"})
    await laptop.sync()
    phone = await world.added(laptop)
    await phone.aclose()
    transport = world.transport("phone")

    def emptied(request: Request, answer: Answer) -> Answer:
        if request.path != "/sync/pull":
            return answer
        head = read_page(answer.body).head
        start = log_start(bytes.fromhex(laptop.account), head.epoch)
        return Answer(200, write_page(Page(False, start, [])))

    transport.meddle = emptied
    async with await Device.open(world.folder / "phone", **world.around("phone")) as again:
        assert await failed(again.sync()) == "log_rolled_back"
    transport.meddle = None
    tablet = await world.added(laptop, "tablet")
    await tablet.sync()
    world.transport("tablet").meddle = emptied
    assert await failed(tablet.sync()) == "log_rolled_back"  # by what it saw itself from now on


async def test_a_server_that_was_restored_during_a_pairing(world: World) -> None:
    laptop = await world.first()
    await laptop.collection("entries").create({"title": "one"})
    await laptop.sync()
    phone = await world.added(laptop)
    raw = phone._replica.database.get("vouched")
    device, epoch, *rest = canonical.decode(raw)
    phone._replica.database.put("vouched", canonical.encode([device, epoch + 1, *rest]))
    await phone.sync()
    assert [notice.code for notice in (await phone.status()).notices] == ["server_restored"]
    await phone.sync()
    assert len((await phone.status()).notices) == 1


async def test_every_answer_may_be_lost_once(world: World) -> None:
    laptop = await world.first()
    lost: set[tuple[str, str, bytes]] = set()

    def meddle(request: Request, answer: Answer) -> Answer:
        key = (request.method, request.path, request.body)
        if key not in lost and "pair-device/" in request.path:
            lost.add(key)
            raise EcholiaError("server_unreachable")
        return answer

    for name in ("laptop", "phone"):
        world.transport(name).meddle = meddle
    phone = await world.added(laptop)
    assert len(lost) >= 8
    await phone.sync()


async def test_a_guest_that_stopped_halfway_can_start_again(world: World) -> None:
    laptop = await world.first()
    pairing, joining, _ = await met(world, laptop)
    await joining.__aexit__(None, None, None)
    await pairing.__aexit__(None, None, None)
    phone = await world.added(laptop)
    assert len(await phone.devices()) == 2
