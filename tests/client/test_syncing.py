"""Syncing over a network that loses things, with a server that restarts, says no, or says it twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from echolia.client import Device, EcholiaError, Progress
from echolia.client.transport import Answer, Request
from tests.support.asgi import Asker
from tests.support.devices import InProcess, World


async def caught(device: Device) -> str:
    """The code that a sync ends with."""
    with pytest.raises(EcholiaError) as error:
        await device.sync()
    return error.value.code


async def write(device: Device, count: int = 1, prefix: str = "note") -> list[str]:
    """Some entries."""
    return await device.collection("entries").create_many({"title": f"{prefix} {n}"} for n in range(count))


def losing(world: World, path: str, times: int) -> None:
    """The laptop's next answers at a path are lost after the server has done what was asked."""
    left = [times]

    def meddle(request: Request, answer: Answer) -> Answer:
        world.pass_s(0.01)
        if request.path.startswith(path) and left[0]:
            left[0] -= 1
            raise EcholiaError("server_unreachable")
        return answer

    world.transport("laptop").meddle = meddle


async def test_while_the_server_is_away_edits_are_kept(world: World) -> None:
    device = await world.first()
    await write(device, 3)
    world.transport("laptop").down = True
    assert await caught(device) == "server_unreachable"
    assert (await device.status()).pending == 3
    world.transport("laptop").down = False
    assert (await device.sync()).pushed == 3
    assert (await device.status()).pending == 0


@pytest.mark.parametrize(
    "path",
    [
        "/sync/push",
        "/sync/pull",
        "/sync/ack",
        "/sync/status",
        "/auth/devices",
        "/auth/token",
        "/auth/refresh",
    ],
)
@pytest.mark.parametrize("times", [1, 20])
async def test_answers_that_are_lost(world: World, path: str, times: int) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    await write(phone)
    await phone.sync()
    await write(laptop, 2)
    sign_in = "DELETE FROM tokens" if path == "/auth/token" else "UPDATE tokens SET expires_ms = 0"
    laptop._replica.database.run(sign_in)
    losing(world, path, times)
    if times > 1:
        assert await caught(laptop) == "server_unreachable"
        world.transport("laptop").meddle = None
    await laptop.sync()
    status = await laptop.status()
    assert (status.pending, status.seq, status.evidence) == (0, 3, ())
    await phone.sync()
    assert (await phone.collection("entries").count()) == 3


async def test_what_was_stored_is_not_sent_again(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    await write(phone)
    await phone.sync()
    await write(laptop, 5)
    # Somebody else's run lies in between, so only a pull can confirm; that pull is lost.
    losing(world, "/sync/pull", 20)
    assert await caught(laptop) == "server_unreachable"
    assert (await laptop.status()).pending == 5
    world.transport("laptop").meddle = None
    world.transport("laptop").asked.clear()
    await laptop.sync()
    assert "/sync/push" not in {request.path for request in world.transport("laptop").asked}
    assert (await laptop.status()).pending == 0


async def test_a_large_outbox_goes_in_portions(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    for _ in range(3):
        await laptop.collection("entries").create_many({"body": f"{n} " * 3000} for n in range(200))
    seen: list[Progress] = []
    report = await laptop.sync(seen.append)
    assert report.pushed == 600
    assert [one.done for one in seen if one.phase == "push"][-1] == 600
    pushes = [request for request in world.transport("laptop").asked if request.path == "/sync/push"]
    assert len(pushes) > 1
    assert max(len(request.body) for request in pushes) < 5 << 20
    got: list[Progress] = []
    assert (await phone.sync(got.append)).pulled == 600
    pulls = [one for one in got if one.phase == "pull"]
    assert len(pulls) > 2
    assert [one.done for one in pulls] == sorted(one.done for one in pulls)
    assert pulls[-1].done == pulls[-1].total == 600
    assert pulls[-1].bytes > 600 * 6000


async def test_what_was_sent_takes_no_room_any_more(world: World) -> None:
    laptop = await world.first()
    await laptop.collection("entries").create_many({"body": f"{n} " * 3000} for n in range(100))
    [(before,)] = laptop._replica.database.rows("PRAGMA page_count")
    await laptop.sync()
    [(after,)] = laptop._replica.database.rows("PRAGMA page_count")
    assert after < before * 0.7
    assert laptop._replica.database.value("PRAGMA freelist_count") == 0
    waiting = world.folder / "laptop" / "echolia.db-wal"
    assert waiting.stat().st_size < 100_000


async def test_a_pull_that_is_cut_off_goes_on_where_it_was(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    for _ in range(3):
        await laptop.collection("entries").create_many({"body": f"{n} " * 3000} for n in range(200))
    await laptop.sync()
    pulled: list[Request] = []

    def meddle(request: Request, answer: Answer) -> Answer:
        if request.path == "/sync/pull":
            pulled.append(request)
            if len(pulled) > 1:
                raise EcholiaError("server_unreachable")
        return answer

    world.transport("phone").meddle = meddle
    assert await caught(phone) == "server_unreachable"
    some = await phone.collection("entries").count()
    assert 0 < some < 600
    world.transport("phone").meddle = None
    assert (await phone.sync()).pulled == 600 - some


@pytest.mark.parametrize(
    ("code", "told"), [("rate_limited", "rate_limited"), ("unavailable", "server_unreachable")]
)
async def test_a_busy_server_is_asked_again_as_late_as_it_says(world: World, code: str, told: str) -> None:
    device = await world.first()
    left = [3]

    def meddle(request: Request, answer: Answer) -> Answer:
        if left[0]:
            left[0] -= 1
            return Answer(429, json.dumps({"code": code}).encode(), 7.0)
        return answer

    world.transport("laptop").meddle = meddle
    await device.sync()
    world.transport("laptop").meddle = lambda request, answer: Answer(
        429, json.dumps({"code": code}).encode(), 600
    )
    assert await caught(device) == told


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (500, b"oops", "server_invalid"),
        (400, b'{"code": "no_such_code"}', "server_invalid"),
        (302, b"", "server_invalid"),
        (200, b"[]", "server_invalid"),
        (200, b"{", "server_invalid"),
        (502, b"bad gateway", "server_unreachable"),
        (401, b'{"code": "device_revoked"}', "device_revoked"),
        (401, b'{"code": "account_unknown"}', "account_unknown"),
    ],
)
async def test_answers_that_help_nobody(world: World, status: int, body: bytes, code: str) -> None:
    device = await world.first()
    world.transport("laptop").meddle = lambda request, answer: Answer(status, body)
    assert await caught(device) == code


async def test_tokens_end_and_are_renewed(world: World) -> None:
    device = await world.first()
    await device.sync()
    world.pass_s(1000)
    await device.sync()
    world.pass_s(70 * 86_400)
    await device.sync()
    device._replica.database.run("UPDATE tokens SET refresh = access, expires_ms = 0")
    await device.sync()
    device._replica.database.run("UPDATE tokens SET access = 'x.y.z', refresh = 'zzz'")
    await write(device)
    assert (await device.sync()).pushed == 1


async def test_a_refresh_that_arrives_twice_costs_a_sign_in(world: World) -> None:
    """The second one looks like a thief's: it ends the tokens that the first one gave."""
    device = await world.first()
    await device.sync()
    world.pass_s(1000)
    device._replica.database.run("UPDATE tokens SET expires_ms = expires_ms + 1000000")  # by a slow clock
    losing(world, "/nothing", 0)  # but time passes with each request
    world.transport("laptop").repeated = "/auth/refresh"
    await write(device)
    assert (await device.sync()).pushed == 1


async def test_a_server_that_refuses_the_tokens_that_it_gives_is_tried_later(world: World) -> None:
    device = await world.first()
    body = json.dumps({"code": "token_expired"}).encode()

    def refuse(request: Request, answer: Answer) -> Answer:
        return Answer(401, body) if request.path == "/sync/status" else answer

    world.transport("laptop").meddle = refuse
    assert await caught(device) == "server_unreachable"


async def test_two_syncs_at_once_are_one_after_the_other(world: World) -> None:
    device = await world.first()
    await write(device, 3)
    reports = await asyncio.gather(device.sync(), device.sync())
    assert sorted(report.pushed for report in reports) == [0, 3]


async def test_edits_during_a_sync_wait_for_the_next(world: World) -> None:
    device = await world.first()
    await write(device, 3)
    syncing = asyncio.create_task(device.sync())
    ids = [(await write(device))[0] for _ in range(20)]
    await syncing
    await device.sync()
    assert (await device.status()).pending == 0
    assert set(ids) <= {record.id for record in await device.collection("entries").list()}


async def test_watching(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    changes = phone.watch()
    async with asyncio.timeout(20):
        [sent] = await write(laptop)
        await laptop.sync()
        while sent not in (await anext(changes)).objects:
            pass
        [own] = await write(phone)
        while own not in (await anext(changes)).objects:
            pass
        while (await phone.status()).pending:
            await anext(changes)
        await laptop.collection("entries").update(sent, {"title": "news"})
        await laptop.sync()
        while sent not in (await anext(changes)).objects:
            pass
    await changes.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert (await phone.collection("entries").get(sent)).title == "news"


class Scripted(InProcess):
    """A transport whose event streams are these lines, one list after the other, and then silence."""

    def __init__(self, ask_server: Asker, streams: list[list[str]]) -> None:
        super().__init__(ask_server)
        self.streams = streams
        self.named: list[str] = []
        self.silent = asyncio.Event()

    async def lines(self, request: Request) -> AsyncIterator[str]:
        """See `Transport.lines`."""
        self.named.append(request.last_event_id)
        if not self.streams:
            self.silent.set()
            await asyncio.Event().wait()
        for line in self.streams.pop(0):
            yield line


async def test_watching_goes_on_from_the_last_event(world: World) -> None:
    head, alive, odd = ["event: head", "id: 7.41", "data: {}", ""], [": alive", ""], ["id: 7.42x", "id: ", ""]
    transport = world.transports["laptop"] = Scripted(world.ask, [head, alive, odd])
    laptop = await world.first()
    watching = asyncio.ensure_future(anext(laptop.watch()))
    async with asyncio.timeout(20):
        await transport.silent.wait()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert transport.named == ["", "7.41", "7.41", "7.41"]


async def test_watching_ends_when_the_server_lies(world: World) -> None:
    laptop = await world.first()
    world.transport("laptop").meddle = lambda request, answer: (
        Answer(401, b'{"code": "device_revoked"}') if request.path.startswith("/sync") else answer
    )
    async with asyncio.timeout(20):
        with pytest.raises(EcholiaError, match="device_revoked"):
            await anext(laptop.watch())
