"""A server that takes no more: nothing is lost, pulling goes on, deletions get through, all is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from echolia.client import Allowance, Device, EcholiaError, Held, watching
from echolia.client.transport import Answer, Request
from tests.client.test_syncing import write
from tests.support import asgi
from tests.support.asgi import Asker
from tests.support.devices import World
from tests.support.server import Clock, served

Worlds = Callable[..., AbstractAsyncContextManager[World]]
SHARES = ("bytes", "objects", "changes_per_minute")
NO_RESERVE: dict[str, Any] = {"quota_reserve_bytes": 0, "quota_reserve_percent": 0}
HOUR_S = 3600


@pytest.fixture
def worlds(tmp_path: Path) -> Worlds:
    """Makes a world whose server has these settings; a second one goes on where the first ended."""
    clock = Clock()

    @asynccontextmanager
    async def world(**settings: Any) -> AsyncIterator[World]:
        async with served(tmp_path / "server", clock, **settings) as ask, AsyncExitStack() as stack:
            yield World(ask, clock, tmp_path, stack)

    return world


def pushes(world: World, name: str = "laptop") -> list[str]:
    """Where the named device has pushed to since this was asked last."""
    asked = world.transport(name).asked
    paths = [request.path for request in asked if request.path.startswith("/sync/push")]
    asked.clear()
    return paths


async def held(device: Device) -> Held:
    """What a sync leaves, and the status tells from then on."""
    report = await device.sync()
    assert report.held is not None
    assert (await device.status()).held == report.held
    return report.held


@dataclass
class Refusing(Asker):
    """Asks a server, or whatever stands before it, that refuses pushes."""

    refusal: asgi.Answer = field(default_factory=asgi.Answer)

    async def __call__(self, method: str, target: str, *args: Any, **words: Any) -> asgi.Answer:
        if target.startswith("/sync/push"):
            return self.refusal
        return await super().__call__(method, target, *args, **words)


def refusing(world: World, status: int, after_s: int, **document: Any) -> None:
    """The laptop's pushes are refused with this."""
    body = json.dumps(document).encode() if document else b"<html>"
    refusal = asgi.Answer(status, {"retry-after": str(after_s)}, body)
    world.transport("laptop").ask_server = Refusing(world.ask.app, refusal=refusal)


async def fill(device: Device) -> tuple[int, Held]:
    """Write and send entries until the account is full; how many got through."""
    for _ in range(20):
        await write(device, 10)
        report = await device.sync()
        if report.held is not None:
            stored = (await device.collection("entries").count()) - report.held.waiting
            return stored, report.held
    raise AssertionError("never full")


async def test_a_full_account_keeps_everything_here_and_goes_on_pulling(worlds: Worlds) -> None:
    async with worlds(quota_bytes=20_000, **NO_RESERVE) as world:
        laptop = await world.first()
        phone = await world.added(laptop)
        await write(phone, 2, "phone's")
        await phone.sync()
        stored, kept = await fill(laptop)
        assert (kept.code, kept.what, kept.retry_after_s) == ("quota_exceeded", "bytes", HOUR_S)
        assert kept.allowance is not None
        assert kept.allowance.limit == 20_000
        assert 20_000 - kept.allowance.used < 1000  # filled to the last that fits
        assert (await laptop.status()).pending == kept.waiting > 0
        await write(phone, 1, "too much")
        assert (await held(phone)).waiting == 1
        titles = {record.title for record in await laptop.collection("entries").list()}
        assert titles >= {"phone's 0", "phone's 1"}
        assert await phone.collection("entries").count() == stored + 1
        # What it has pulled it has acknowledged as well.
        acks = {each.this: each.synced_seq for each in await laptop.devices()}
        assert acks[True] == (await laptop.status()).seq


async def test_a_larger_quota_takes_what_waited(worlds: Worlds) -> None:
    async with worlds(quota_bytes=8000, **NO_RESERVE) as world:
        laptop = await world.first()
        await fill(laptop)
        pushes(world)
        assert (await held(laptop)).code == "quota_exceeded"
        assert pushes(world) == []
    async with worlds(quota_bytes=80_000) as world:
        laptop = await Device.open(world.folder / "laptop", **world.around("laptop"))
        report = await laptop.sync()
        assert (report.held, report.pushed > 0) == (None, True)
        status = await laptop.status()
        assert (status.held, status.pending) == (None, 0)
        await laptop.aclose()


async def test_a_deletion_gets_through_with_the_reserve(worlds: Worlds) -> None:
    async with worlds(quota_bytes=8000, quota_reserve_bytes=8000) as world:
        laptop = await world.first()
        phone = await world.added(laptop)
        [kept, gone] = await write(laptop, 2, "early")
        await laptop.sync()
        await fill(laptop)
        pushes(world)
        await write(laptop, 1, "before")
        await laptop.collection("entries").delete(gone)
        await write(laptop, 1, "behind")
        assert (await held(laptop)).waiting == 1
        assert set(pushes(world)) == {"/sync/push?reserve=1"}
        await phone.sync()
        titles = {record.title for record in await phone.collection("entries").list()}
        assert "before 0" in titles
        assert titles.isdisjoint({"early 1", "behind 0"})
        assert [record.id for record in await phone.collection("entries").list(trash=True)] == [gone]
        await laptop.collection("entries").update(kept, {"title": "edited"})
        assert (await held(laptop)).waiting == 2
        assert pushes(world) == []


async def test_a_deletion_that_is_all_there_is_leaves_nothing_held(worlds: Worlds) -> None:
    async with worlds(quota_bytes=1500, quota_reserve_bytes=8000) as world:
        laptop = await world.first()
        ids = await write(laptop, 1)
        await laptop.sync()
        while (await laptop.sync()).held is None:
            ids += await write(laptop, 1)
        [waiting] = [one for one in ids if (await laptop.collection("entries").get(one)).pending]
        await laptop.collection("entries").delete(ids[0])
        report = await laptop.sync()
        assert (report.held, report.pushed) == (None, 2)
        assert not (await laptop.collection("entries").get(waiting)).pending


async def test_a_reserve_that_would_not_do_is_not_spent(worlds: Worlds) -> None:
    async with worlds(quota_bytes=8000, quota_reserve_bytes=1000) as world:
        laptop = await world.first()
        ids = await write(laptop, 2)
        await laptop.sync()
        await write(laptop, 40)
        await laptop.collection("entries").delete(ids[0])
        assert (await held(laptop)).waiting > 1
        assert "/sync/push?reserve=1" not in pushes(world)


async def test_what_was_refused_is_not_sent_again_before_its_time(worlds: Worlds) -> None:
    async with worlds(quota_bytes=8000, **NO_RESERVE) as world:
        laptop = await world.first()
        await fill(laptop)
        pushes(world)
        world.pass_s(HOUR_S - 60)
        await write(laptop)
        assert (await held(laptop)).retry_after_s == 60
        assert pushes(world) == []
        world.pass_s(60)
        assert (await held(laptop)).retry_after_s == HOUR_S
        assert pushes(world) != []
        world.pass_s(-5 * HOUR_S)  # a clock that steps back holds nothing back for longer
        await held(laptop)
        assert pushes(world) != []


async def test_more_room_is_used_before_that(worlds: Worlds) -> None:
    async with worlds(quota_bytes=8000, **NO_RESERVE) as world:
        laptop = await world.first()
        await fill(laptop)
        pushes(world)

        def meddle(request: Request, answer: Answer) -> Answer:
            if request.path != "/sync/status":
                return answer
            told = json.loads(answer.body)
            told["quota"]["bytes"]["limit"] = 90_000
            return Answer(200, json.dumps(told).encode())

        world.transport("laptop").meddle = meddle
        assert (await held(laptop)).code == "quota_exceeded"
        assert pushes(world) != []


async def test_too_much_for_a_minute_is_sent_in_the_next(worlds: Worlds) -> None:
    async with worlds(quota_changes_per_minute=10) as world:
        laptop = await world.first()
        await write(laptop, 16)
        kept = await held(laptop)
        assert (kept.code, kept.what, kept.waiting) == ("rate_limited", "changes_per_minute", 8)
        assert kept.allowance == Allowance(8, 10)
        assert 0 < kept.retry_after_s <= 60
        pushes(world)
        assert (await held(laptop)).waiting == 8
        assert pushes(world) == []
        world.pass_s(60)
        report = await laptop.sync()
        assert (report.held, report.pushed) == (None, 8)


async def test_objects_that_are_too_many_hold_back_what_follows_them_alone(worlds: Worlds) -> None:
    async with worlds(quota_objects=5) as world:
        laptop = await world.first()
        ids = await write(laptop, 5)
        await laptop.sync()
        entries = laptop.collection("entries")
        for turn in range(4):
            await entries.update(ids[turn], {"title": "edited"})
        await entries.create({"title": "one too many"})
        await entries.update(ids[0], {"title": "edited again"})
        kept = await held(laptop)
        assert (kept.code, kept.what, kept.waiting) == ("quota_exceeded", "objects", 2)
        assert kept.allowance is not None
        assert (kept.allowance.used, kept.allowance.limit) == (5, 5)


async def test_a_change_that_no_push_can_carry_waits(worlds: Worlds) -> None:
    async with worlds(quota_bytes=2000, **NO_RESERVE) as world:
        laptop = await world.first()
        await write(laptop)
        await laptop.collection("entries").create({"body": "word " * 3000})
        kept = await held(laptop)
        assert (kept.code, kept.waiting) == ("body_too_large", 1)


@pytest.mark.parametrize(
    ("status", "document", "code"),
    [
        (507, {"code": "storage_full"}, "storage_full"),
        (507, {}, "storage_full"),
        (413, {}, "body_too_large"),
        (429, {"code": "rate_limited"}, "rate_limited"),
        (507, {"code": "quota_exceeded", "what": "luck", "used": -1, "limit": "x"}, "quota_exceeded"),
    ],
)
async def test_whoever_refuses_a_push_stops_no_pull(
    worlds: Worlds, status: int, document: dict[str, Any], code: str
) -> None:
    async with worlds() as world:
        laptop = await world.first()
        phone = await world.added(laptop)
        await write(phone)
        await phone.sync()
        await write(laptop, 3)
        refusing(world, status, 120, **document)
        report = await laptop.sync()
        assert report.held == Held(code, "", None, 120, 3)
        assert (report.pushed, report.pulled) == (0, 1)
        world.transport("laptop").ask_server = world.ask
        world.pass_s(120)
        assert (await laptop.sync()).pushed == 3


async def test_another_refusal_is_still_an_error(worlds: Worlds) -> None:
    async with worlds() as world:
        laptop = await world.first()
        await write(laptop)
        refusing(world, 403, 0, code="signature_invalid")
        with pytest.raises(EcholiaError, match="signature_invalid"):
            await laptop.sync()
        refusing(world, 429, 0, code="rate_limited")
        assert (await laptop.sync()).held is not None


async def test_a_device_is_revoked_though_the_account_is_full(worlds: Worlds) -> None:
    async with worlds(quota_bytes=4000, **NO_RESERVE) as world:
        laptop = await world.first()
        phone = await world.added(laptop)
        await fill(laptop)
        await laptop.revoke(phone.id)
        with pytest.raises(EcholiaError, match="device_revoked"):
            await phone.sync()
        await laptop.delete_account()


async def test_watching_goes_on_and_sends_when_there_is_room(worlds: Worlds) -> None:
    async with worlds() as world:
        laptop = await world.first()
        phone = await world.added(laptop)
        refusing(world, 507, 60, code="storage_full")
        [mine] = await write(laptop)
        changes = laptop.watch()
        async with asyncio.timeout(20):
            [theirs] = await write(phone)
            await phone.sync()
            while theirs not in (await anext(changes)).objects:
                pass
            assert (await laptop.collection("entries").get(mine)).pending
            world.transport("laptop").ask_server = world.ask
            world.pass_s(60)
            while (await laptop.status()).held:
                pass
        assert (await laptop.status()).pending == 0
        await changes.aclose()  # type: ignore[attr-defined]


async def test_while_watching_it_is_tried_again_when_the_server_said(worlds: Worlds) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async with worlds() as world:
        await (await world.first()).aclose()
        around = world.around("laptop")
        around["environment"] = replace(around["environment"], sleep=sleep)
        async with await Device.open(world.folder / "laptop", **around) as laptop:
            await write(laptop)
            refusing(world, 507, 60, code="storage_full")
            for asked in ([60.0], [60.0, 60.0]):
                moved = asyncio.Event()
                moved.set()
                await watching._follow(laptop._syncing, moved)
                assert (slept, moved.is_set()) == (asked, True)


async def test_a_reserve_that_did_not_do_is_not_asked_for_again(worlds: Worlds) -> None:
    async with worlds(quota_objects=2) as world:
        laptop = await world.first()
        [gone, _] = await write(laptop, 2)
        await laptop.sync()
        await write(laptop, 101)  # one more than the reserve
        await laptop.collection("entries").delete(gone)
        pushes(world)
        assert (await held(laptop)).waiting == 102
        assert pushes(world).count("/sync/push?reserve=1") == 1
        await write(laptop)
        assert (await held(laptop)).waiting == 103
        assert pushes(world) == []


async def test_the_quota_is_told(worlds: Worlds) -> None:
    async with worlds(quota_bytes=0, quota_objects=50) as world:
        laptop = await world.first()
        await write(laptop, 5)
        await laptop.sync()
        quota = (await laptop.sync()).quota
        assert quota is not None
        assert (quota.tier, quota.objects) == ("free", Allowance(5, 50, 100))
        assert (quota.bytes.limit, quota.bytes.room, quota.bytes.percent) == (None, None, 0)
        assert (quota.objects.room, quota.objects.percent) == (45, 10)
        assert quota.changes_per_minute.used == 5


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (None, None),
        ([], "server_invalid"),
        ({"tier": 5}, "server_invalid"),
        ({"tier": "x", "bytes": {"used": 1, "limit": 2}}, "server_invalid"),
        ({"tier": "x", **{share: {"used": -1} for share in SHARES}}, "server_invalid"),
        ({"tier": "x", **{share: {"used": 1, "limit": "2"} for share in SHARES}}, "server_invalid"),
        ({"tier": "x", **{share: {"used": 1} for share in SHARES}}, None),
    ],
)
async def test_a_quota_is_read_with_care(worlds: Worlds, told: object, code: str | None) -> None:
    async with worlds() as world:
        laptop = await world.first()

        def meddle(request: Request, answer: Answer) -> Answer:
            if request.path != "/sync/status":
                return answer
            return Answer(200, json.dumps({**json.loads(answer.body), "quota": told}).encode())

        world.transport("laptop").meddle = meddle
        if code is None:
            quota = (await laptop.sync()).quota
            assert (quota is None) == (told is None)
        else:
            with pytest.raises(EcholiaError, match=code):
                await laptop.sync()
