"""Limits counted in a real Redis: by several processes together, and by each alone while it is away."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio
import structlog
from prometheus_client.parser import text_string_to_metric_families

from echolia.data_folder import whole_folder
from echolia.storage.reserve import Reserve
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.web.redis_counts import RedisCounts
from tests.contracts.notices import until
from tests.deployment.processes import get
from tests.support.asgi import Asker
from tests.support.process import ServerProcess
from tests.support.redis import Redis
from tests.support.server import settings_for
from tests.workers.conftest import Crew

pytestmark = pytest.mark.service
FAR = "203.0.113.5"


@pytest.fixture
def redis_server(tmp_path: Path, service_binary: Callable[[str, str], str]) -> Iterator[Redis]:
    """A real Redis."""
    server = Redis(service_binary, tmp_path)
    server.start()
    yield server
    server.stop()


@asynccontextmanager
async def two(data: Path, url: str, **changed: float) -> AsyncIterator[tuple[Asker, Asker]]:
    """Two server processes of a data folder, played by two applications, asked from one network."""
    async with AsyncExitStack() as stack:
        driver = SqliteDriver(4)
        stack.push_async_callback(driver.close)
        changed = {"redis_seconds": 30, **changed}
        settings = settings_for(data, workers=2, redis_url=url, **changed)
        directory = await stack.enter_async_context(whole_folder(settings, driver, Reserve(data)))
        crew = Crew(data, directory, 2, redis_url=url, **changed)
        stack.push_async_callback(crew.close)
        one, other = await crew.start(), await crew.start()
        one.peer = other.peer = FAR
        yield one, other


async def statuses(*asked: Asker) -> list[int]:
    """What they answer one after the other to a request without a token."""
    return [(await ask("GET", "/nowhere")).status for ask in asked]


async def test_two_processes_share_each_limit(tmp_path: Path, redis_server: Redis) -> None:
    async with two(tmp_path / "data", redis_server.url, anonymous_per_minute=3, refresh_per_minute=1) as (
        a,
        b,
    ):
        assert await statuses(a, b, a, b, a, b) == [404, 404, 404, 429, 429, 429]
        refused = await a("GET", "/nowhere")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert (await a("POST", "/auth/refresh", {})).status == 400
        assert (await b("POST", "/auth/refresh", {})).status == 429
        b.peer = "198.51.100.1"
        assert await statuses(b) == [404]


async def test_registrations_are_counted_once_wherever_they_arrive(
    tmp_path: Path, redis_server: Redis
) -> None:
    async with two(tmp_path / "data", redis_server.url, register_per_minute=2) as (a, b):
        answers = [(await ask("POST", "/auth/register", {})).status for ask in (a, b, a, b)]
        assert answers == [400, 400, 429, 429]


async def test_it_learns_neither_networks_nor_what_they_asked_for(
    tmp_path: Path, redis_server: Redis
) -> None:
    async with (
        two(tmp_path / "data", redis_server.url) as (a, b),
        redis.asyncio.Redis.from_url(redis_server.url, decode_responses=True) as client,
    ):
        await statuses(a, b)
        await a("POST", "/auth/refresh", {})
        keys = [str(key) for key in await client.keys("*")]
        assert len(keys) == 2
        for key in keys:
            name, _, blinded = key.partition(":")
            assert name == "echolia"
            assert len(blinded) == 32
            assert int(blinded, 16)
            assert FAR not in key and bytes((203, 0, 113)).hex() not in key
            assert 0 < await client.pttl(key) <= 60_000, "it ends by itself"
        assert sorted([int(str(await client.get(key))) for key in keys]) == [1, 2]


async def test_a_key_without_an_end_is_given_one(redis_server: Redis) -> None:
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        counts = RedisCounts(redis_server.url, answer_s=30)
        window = await counts.count("name", "who")
        assert window is not None and window.used == 1
        (key,) = await client.keys("*")
        await client.persist(key)
        window = await counts.count("name", "who")
        assert window is not None and window.used == 2
        assert 0 < await client.pttl(key) <= 60_000
        await counts.close()


@pytest.mark.parametrize("stored", ["text", str(2**63 - 1)])
async def test_whatever_stands_there_a_count_is_none_or_a_number(redis_server: Redis, stored: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        counts = RedisCounts(redis_server.url, answer_s=30)
        await counts.count("name", "who")
        (key,) = await client.keys("*")
        await client.set(key, stored)
        assert await counts.count("name", "who") is None
        await counts.close()


async def test_killed_in_the_middle_each_process_goes_on_alone(tmp_path: Path, redis_server: Redis) -> None:
    async with two(tmp_path / "data", redis_server.url, anonymous_per_minute=3) as (a, b):
        assert await statuses(a, b) == [404, 404]
        os.kill(redis_server.pid, signal.SIGKILL)
        with structlog.testing.capture_logs() as logs:
            assert await statuses(a, a, a, a) == [404, 404, 429, 429]
            assert await statuses(b, b, b, b) == [404, 404, 429, 429]
        told = [event["event"] for event in logs if event["event"] != "notices_away"]
        assert told == ["limits_away"] * 2, "each process says it once"


async def test_one_that_accepts_and_never_answers_holds_nobody_up(tmp_path: Path) -> None:
    asked = 0

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        while await reader.read(1 << 16):
            pass
        writer.close()

    mute = await asyncio.start_server(swallow, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{mute.sockets[0].getsockname()[1]}"
    async with two(tmp_path / "data", url, anonymous_per_minute=20, redis_seconds=0.05) as (a, _):
        await until(lambda: asked >= 2)  # the notices' connections
        with structlog.testing.capture_logs() as logs:
            answers = await asyncio.gather(*(statuses(a, a) for _ in range(11)))
            before = asked
            assert await statuses(a) == [429]
        assert sorted(status for pair in answers for status in pair) == [404] * 20 + [429] * 2
        assert asked - before <= 2, "whoever came first waited, nobody after"
        assert [event["event"] for event in logs if event["event"] != "notices_away"] == ["limits_away"]
    mute.close()


async def test_one_that_is_frozen_is_asked_again_once_it_goes_on(redis_server: Redis) -> None:
    counts = RedisCounts(redis_server.url, answer_s=0.25)
    async with asyncio.timeout(30):
        while await counts.count("name", "who") is None:
            pass
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        assert await counts.count("name", "who") is None
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    async with asyncio.timeout(30):
        while (window := await counts.count("name", "who")) is None:
            pass
    assert window.used >= 2
    await counts.close()


@pytest.mark.slow
async def test_real_workers_share_a_limit(tmp_path: Path, redis_server: Redis) -> None:
    settings = {
        "workers": "2",
        "anonymous_per_minute": "5",
        "redis_seconds": "30",
        "redis_url": redis_server.url,
    }
    with ServerProcess(tmp_path / "data", **settings) as server:
        told: list[int] = []
        async with asyncio.timeout(60):
            while min(asked_of(await asyncio.to_thread(metrics, server.port))) <= 5:
                many = [asyncio.to_thread(get, server.port, "/nowhere") for _ in range(32)]
                told += [status for status, _, _ in await asyncio.gather(*many)]
        assert told.count(404) == 5, "as many as one process lets through"
        assert set(told) == {404, 429}


def metrics(port: int) -> str:
    """What the server tells of all its workers."""
    return get(port, "/metrics")[2].decode()


def asked_of(text: str) -> list[float]:
    """How many requests without a route each of two workers got."""
    found = {"1": 0.0, "2": 0.0}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "echolia_request_seconds_count" and sample.labels["route"] == "unmatched":
                found[sample.labels["worker"]] += sample.value
    return list(found.values())
