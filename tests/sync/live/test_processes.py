"""A whole server and another process with the same accounts: what happens in one is heard in the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from echolia.storage.engine import Statement
from echolia.storage.postgres.channel import Channel
from echolia.storage.postgres.connections import Address
from echolia.storage.secret_files import load_key
from echolia.web.notices.database import DatabaseNotices
from echolia.web.notices.port import Ended, HeadMoved, Notices, Tell
from echolia.web.notices.postgres import CHANNEL, PostgresNotices
from echolia.web.notices.redis_channel import RedisNotices
from echolia.web.notices.sealing import Seal
from tests.contracts.notices import Ear
from tests.support.accounts import Account, Keys
from tests.support.asgi import Asker
from tests.support.engines import ENGINE, opened_directory
from tests.support.redis import Redis
from tests.support.server import START_S, served
from tests.sync.live.test_streams import head, push

PHONE = Keys("anna's phone")


@dataclass
class Two:
    """The server, its account, and the other process: what it hears, and how it tells."""

    ask: Asker
    anna: Account
    data: Path
    ear: Ear
    tell: Tell


async def by_redis(data: Path, url: str, stack: AsyncExitStack) -> Notices:
    """The other process's way."""
    del stack
    return RedisNotices(url, Seal(load_key(data / "notices.key")))


async def by_database(data: Path, url: str, stack: AsyncExitStack) -> Notices:
    """The other process's way."""
    del url
    directory = await stack.enter_async_context(opened_directory(data))
    return DatabaseNotices(directory, lambda: int(START_S * 1000), poll_s=0.005)


async def by_postgres(data: Path, url: str, stack: AsyncExitStack) -> Notices:
    """The other process's way."""
    del url
    directory = await stack.enter_async_context(opened_directory(data))
    return PostgresNotices(Channel(Address(ENGINE.url(data)), CHANNEL, directory))


WAYS = {"redis": by_redis, "database": by_database, "postgres": by_postgres}


@pytest.fixture(
    params=["database", *(pytest.param(name, marks=pytest.mark.service) for name in ("redis", "postgres"))]
)
async def two(
    request: pytest.FixtureRequest, tmp_path: Path, service_binary: Callable[[str, str], str]
) -> AsyncIterator[Two]:
    """Both, by each way."""
    data, ear, anna = tmp_path / "data", Ear(), Account()
    async with AsyncExitStack() as stack:
        url = ""
        if request.param == "postgres":
            stack.enter_context(ENGINE.on(request.getfixturevalue("postgres")))
        if request.param == "redis":
            redis = Redis(service_binary, tmp_path)
            redis.start()
            stack.callback(redis.stop)
            url = redis.url
        ask = await stack.enter_async_context(served(data, live=request.param, redis_url=url))
        ask.token = (await anna.register(ask))["access"]
        notices = await WAYS[request.param](data, url, stack)
        tell = await stack.enter_async_context(notices.joined(ear))
        await ear.until(lambda: ear.missed > 0)
        yield Two(ask, anna, data, ear, tell)


async def test_a_push_here_is_heard_there(two: Two) -> None:
    epoch, seq = map(int, (await push(two.ask, two.anna)).split("."))
    await two.ear.hears(HeadMoved(two.anna.id, epoch, seq))


async def test_a_revocation_here_is_heard_there(two: Two) -> None:
    await two.anna.pair(two.ask, two.ask.token, PHONE)
    await two.anna.revoke(two.ask, two.ask.token, PHONE)
    await two.ear.hears(Ended(two.anna.id, PHONE.id))
    await two.anna.delete(two.ask, two.ask.token)
    await two.ear.hears(Ended(two.anna.id, None))


async def test_a_push_there_is_told_here(two: Two) -> None:
    epoch = int((await head(two.ask)).split(".")[0])
    async with two.ask.stream("/sync/live") as stream:
        await stream.until(b"event: head")
        two.tell(HeadMoved(two.anna.id, epoch, 77))
        await stream.until(f"id: {epoch}.77\n".encode())


async def test_a_revocation_there_ends_and_refuses_here(two: Two) -> None:
    await two.anna.pair(two.ask, two.ask.token, PHONE)
    token = (await two.anna.sign_in(two.ask, PHONE)).json()["access"]
    async with two.ask.stream("/sync/live", token) as stream, two.ask.stream("/sync/live") as ours:
        await stream.until(b"event: head")
        await revoked_elsewhere(two.data)
        two.tell(Ended(two.anna.id, PHONE.id))
        await stream.end()
        assert (await two.ask("GET", "/sync/status", token=token)).code == "device_revoked"
        assert not ours.ended
        assert (await two.ask("GET", "/sync/status")).status == 200


async def revoked_elsewhere(data: Path) -> None:
    """What another process leaves in the directory."""
    async with opened_directory(data) as directory:
        update = "UPDATE devices SET revoked_ms = ? WHERE device = ?"
        await directory.batch([Statement(update, (int(START_S * 1000), PHONE.id))])
