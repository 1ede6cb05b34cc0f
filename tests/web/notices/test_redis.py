"""Notices by a real Redis: what it sees, what strangers on it can do, what happens while it is away."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import redis.asyncio
import structlog

from echolia.storage.secret_files import KEY_BYTES
from echolia.web.notices.form import Told
from echolia.web.notices.port import Ended, HeadMoved, Notice
from echolia.web.notices.redis_channel import RedisNotices
from echolia.web.notices.sealing import Seal
from tests.contracts.notices import ANNA, BEN, PHONE, Ear, RedisMedium, goes_on, process, until

pytestmark = pytest.mark.service


@pytest.fixture
async def medium(tmp_path: Path, service_binary: Callable[[str, str], str]) -> AsyncIterator[RedisMedium]:
    """A real Redis."""
    medium = RedisMedium(tmp_path, service_binary)
    yield medium
    await medium.close()


async def test_redis_sees_neither_accounts_nor_positions(medium: RedisMedium) -> None:
    told: list[Notice] = [HeadMoved(ANNA, 2**53 - 1, 123_456_789), Ended(BEN, PHONE), Ended(ANNA, None)]
    async with redis.asyncio.Redis.from_url(medium.redis.url) as client, client.pubsub() as spy:
        await spy.psubscribe("*")
        await spy.get_message(timeout=20)
        async with process(medium) as (tell, _), process(medium) as (_, ear):
            for notice in told:
                tell(notice)
            await ear.until(lambda: ear.heard == told)
            seen = [await spy.get_message(timeout=20) for _ in told]
            assert await client.keys("*") == []
    for message in seen:
        assert message is not None
        data: bytes = message["data"]
        assert len(data) == 97
        for secret in (ANNA, BEN, PHONE, (2**53 - 1).to_bytes(8, "big"), b"123456789"):
            assert secret not in data + message["channel"]


async def test_what_was_not_sealed_here_is_nothing(medium: RedisMedium) -> None:
    forged = Seal(b"\7" * KEY_BYTES).close(Told(bytes(8), Ended(ANNA, None)))
    async with (
        redis.asyncio.Redis.from_url(medium.redis.url) as client,
        process(medium) as (tell, _),
        process(medium) as (_, ear),
    ):
        for data in (forged, b"", b"x", bytes(97), "text", 7):
            assert await client.publish(medium.seal.channel, data) == 2
        tell(Ended(BEN, None))
        await ear.hears(Ended(BEN, None))
        assert ear.heard == [Ended(BEN, None)]


async def test_servers_of_other_keys_do_not_hear_each_other(medium: RedisMedium) -> None:
    strangers, ear = RedisNotices(medium.redis.url, Seal(b"\7" * KEY_BYTES)), Ear()
    async with strangers.joined(ear), process(medium) as (tell, _), process(medium) as (_, own):
        await ear.until(lambda: ear.missed > 0)
        tell(Ended(ANNA, None))
        await own.hears(Ended(ANNA, None))
        assert ear.heard == []


async def test_while_it_is_away_nothing_is_lost_silently_and_then_it_goes_on(medium: RedisMedium) -> None:
    with structlog.testing.capture_logs() as logs:
        async with process(medium) as (tell, own), process(medium) as (_, other):
            before = (own.missed, other.missed)
            medium.redis.stop()
            tell(HeadMoved(ANNA, 7, 1))
            medium.redis.start()
            await own.until(lambda: own.missed > before[0])
            await other.until(lambda: other.missed > before[1])
            await goes_on(tell, other)
    assert {event["event"] for event in logs} == {"notices_away"}


async def test_a_server_starts_though_it_is_away(medium: RedisMedium) -> None:
    medium.redis.stop()
    ears = Ear(), Ear()
    async with (
        RedisNotices(medium.redis.url, medium.seal).joined(ears[0]) as tell,
        RedisNotices(medium.redis.url, medium.seal).joined(ears[1]),
    ):
        tell(Ended(ANNA, PHONE))
        medium.redis.start()
        for ear in ears:
            await ear.until(lambda ear=ear: ear.missed > 0)  # type: ignore[misc]
        tell(Ended(BEN, None))
        await ears[1].hears(Ended(BEN, None))


async def test_a_redis_that_says_nothing_is_left(medium: RedisMedium) -> None:
    ear = Ear()
    with structlog.testing.capture_logs() as logs:
        async with RedisNotices(medium.redis.url, medium.seal, quiet_s=0.05).joined(ear):
            await ear.until(lambda: ear.missed > 0)
            os.kill(medium.redis.pid, signal.SIGSTOP)
            try:
                await until(lambda: logs)
            finally:
                os.kill(medium.redis.pid, signal.SIGCONT)
            before = ear.missed
            await ear.until(lambda: ear.missed > before)


async def test_a_quiet_redis_is_asked_and_kept(medium: RedisMedium) -> None:
    ear = Ear()
    async with (
        RedisNotices(medium.redis.url, medium.seal, quiet_s=0.01).joined(ear),
        process(medium) as (tell, _),
        redis.asyncio.Redis.from_url(medium.redis.url) as client,
    ):
        await ear.until(lambda: ear.missed > 0)
        async with asyncio.timeout(30):
            while (pings := (await client.info("commandstats")).get("cmdstat_ping", {}).get("calls", 0)) < 9:
                pass
        tell(Ended(ANNA, None))
        await ear.hears(Ended(ANNA, None))
        assert ear.missed < pings  # it did not come anew for each
