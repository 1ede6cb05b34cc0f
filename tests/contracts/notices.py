"""What every adapter of the notices' port keeps: the suite runs on each medium of `MEDIA`.

A further adapter is one more `Medium` and one more line there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Final, Protocol

import pytest

from echolia.storage.directory import open_directory
from echolia.storage.engine import Database
from echolia.storage.migrate import load_migrations
from echolia.storage.postgres.channel import Channel
from echolia.storage.postgres.connections import Address
from echolia.storage.postgres.directory import open_postgres_directory
from echolia.storage.secret_files import KEY_BYTES
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.web.notices.database import DatabaseNotices
from echolia.web.notices.memory import MemoryNotices
from echolia.web.notices.outgoing import MOST
from echolia.web.notices.port import MISSED, Ended, HeadMoved, Notice, Notices, Tell
from echolia.web.notices.postgres import CHANNEL, PostgresNotices
from echolia.web.notices.redis_channel import RedisNotices
from echolia.web.notices.sealing import Seal
from tests.support.postgres import Postgres
from tests.support.redis import Redis

ANNA, BEN = b"a" * 16, b"b" * 16
PHONE = b"p" * 16
FindBinary = Callable[[str, str], str]


class Medium(Protocol):
    """What carries notices during a test."""

    async def notices(self) -> Notices:
        """An adapter with connections of its own, as another process has them."""
        ...

    async def close(self) -> None:
        """End what carries."""
        ...


class MemoryMedium:
    """One object for all."""

    def __init__(self, _folder: Path, _find: FindBinary) -> None:
        self._notices = MemoryNotices()

    async def notices(self) -> Notices:
        """The object."""
        return self._notices

    async def close(self) -> None:
        """Nothing runs."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class DatabaseMedium:
    """A directory database; each adapter has a connection of its own."""

    def __init__(self, folder: Path, _find: FindBinary) -> None:
        self.path = folder / "directory.db"
        self._open = AsyncExitStack()

    async def notices(self, now_ms: Callable[[], int] = _now_ms, busy_ms: int = 2000) -> Notices:
        """One more connection."""
        driver = SqliteDriver(1, busy_ms=busy_ms)
        self._open.push_async_callback(driver.close)
        db = await open_directory(self.path, driver, load_migrations("directory"))
        self._open.push_async_callback(db.close)
        return DatabaseNotices(db, now_ms, poll_s=0.005)

    async def close(self) -> None:
        """Close the connections."""
        await self._open.aclose()


class SharedMedium(DatabaseMedium):
    """A directory database to which one connection leads for all, so that none sees the others commit."""

    def __init__(self, folder: Path, find: FindBinary) -> None:
        super().__init__(folder, find)
        self._db: Database | None = None

    async def notices(self, now_ms: Callable[[], int] = _now_ms, busy_ms: int = 2000) -> Notices:
        """The same connection again."""
        if self._db is None:
            driver = SqliteDriver(1, busy_ms=busy_ms)
            self._open.push_async_callback(driver.close)
            self._db = await open_directory(self.path, driver, load_migrations("directory"))
            self._open.push_async_callback(self._db.close)
        return DatabaseNotices(self._db, now_ms, poll_s=0.005)


class RedisMedium:
    """A real Redis, and one key for all."""

    def __init__(self, folder: Path, find: FindBinary) -> None:
        self.redis = Redis(find, folder)
        self.redis.start()
        self.seal = Seal(bytes(range(KEY_BYTES)))

    async def notices(self) -> Notices:
        """One more client."""
        return RedisNotices(self.redis.url, self.seal)

    async def close(self) -> None:
        """End the program."""
        self.redis.stop()


class PostgresMedium:
    """A directory in a real PostgreSQL; each adapter has connections of its own."""

    def __init__(self, postgres: Postgres) -> None:
        self.postgres = postgres
        self.url = self.postgres.fresh()
        self._open = AsyncExitStack()

    async def notices(self) -> Notices:
        """One more client."""
        address = Address(self.url, seconds=2)
        db = await open_postgres_directory(address, load_migrations("directory"))
        self._open.push_async_callback(db.close)
        return PostgresNotices(Channel(address, CHANNEL, db))

    async def close(self) -> None:
        """Close the connections, remove the directory."""
        await self._open.aclose()
        self.postgres.drop(self.url)


class PostgresTableMedium(PostgresMedium):
    """The table of a directory in a real PostgreSQL."""

    async def notices(self) -> Notices:
        """One more client."""
        db = await open_postgres_directory(Address(self.url), load_migrations("directory"), most=2)
        self._open.push_async_callback(db.close)
        return DatabaseNotices(db, _now_ms, poll_s=0.005)


MEDIA: Final[dict[str, Callable[[Path, FindBinary, Callable[[], Postgres]], Medium]]] = {
    "memory": lambda folder, find, _: MemoryMedium(folder, find),
    "database": lambda folder, find, _: DatabaseMedium(folder, find),
    "database-shared": lambda folder, find, _: SharedMedium(folder, find),
    "database-postgres": lambda _folder, _find, postgres: PostgresTableMedium(postgres()),
    "redis": lambda folder, find, _: RedisMedium(folder, find),
    "postgres": lambda _folder, _find, postgres: PostgresMedium(postgres()),
}


async def until(condition: Callable[[], object]) -> None:
    """Ask again until it holds: for what tells nobody when it changes."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


class Ear:
    """What one process heard, `Missed` counted by itself: an adapter may say it whenever it likes."""

    def __init__(self) -> None:
        self.heard: list[Notice] = []
        self.missed = 0
        self._news = asyncio.Event()

    def __call__(self, notice: Notice) -> None:
        """Hear."""
        if notice == MISSED:
            self.missed += 1
        else:
            self.heard.append(notice)
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds."""
        async with asyncio.timeout(30):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def hears(self, notice: Notice) -> None:
        """Wait for this one."""
        await self.until(lambda: notice in self.heard)


async def goes_on(tell: Tell, ear: Ear) -> None:
    """Tell until it is heard: who listens again may be sooner than who tells, and then hears of a loss."""
    for seq in count(2):
        told, missed = HeadMoved(ANNA, 7, seq), ear.missed
        tell(told)
        await ear.until(lambda told=told, missed=missed: told in ear.heard or ear.missed > missed)  # type: ignore[misc]
        if told in ear.heard:
            return


@asynccontextmanager
async def process(medium: Medium) -> AsyncIterator[tuple[Tell, Ear]]:
    """A process that is ready: what is told from now on reaches it."""
    ear = Ear()
    async with (await medium.notices()).joined(ear) as tell:
        if not isinstance(medium, MemoryMedium):
            await ear.until(lambda: ear.missed > 0)
        yield tell, ear


class NoticesContract:
    """The suite; a class that inherits it gives it a `medium`."""

    @pytest.mark.parametrize(
        "notice",
        [HeadMoved(ANNA, 2**53 - 1, 2**53 - 1), HeadMoved(ANNA, 1, 0), Ended(ANNA, PHONE), Ended(ANNA, None)],
    )
    async def test_the_others_hear_exactly_what_was_told(self, medium: Medium, notice: Notice) -> None:
        async with process(medium) as (tell, _), process(medium) as (_, one), process(medium) as (_, two):
            tell(notice)
            for ear in (one, two):
                await ear.hears(notice)
                assert ear.heard == [notice]

    async def test_nobody_hears_itself(self, medium: Medium) -> None:
        async with process(medium) as (tell, own), process(medium) as (answer, other):
            tell(Ended(ANNA, None))
            await other.hears(Ended(ANNA, None))
            answer(Ended(BEN, None))
            await own.hears(Ended(BEN, None))
            assert own.heard == [Ended(BEN, None)]

    async def test_the_newest_head_of_each_account_arrives(self, medium: Medium) -> None:
        async with process(medium) as (tell, _), process(medium) as (_, ear):
            for seq in range(1, 200):
                tell(HeadMoved(ANNA, 7, seq))
                tell(HeadMoved(BEN, 8, seq))
            for account, epoch in ((ANNA, 7), (BEN, 8)):
                await ear.hears(HeadMoved(account, epoch, 199))
                told = [one.seq for one in ear.heard if isinstance(one, HeadMoved) and one.account == account]
                assert told == sorted(told)

    async def test_an_end_is_not_overtaken_by_a_head(self, medium: Medium) -> None:
        async with process(medium) as (tell, _), process(medium) as (_, ear):
            tell(HeadMoved(ANNA, 7, 1))
            tell(Ended(ANNA, PHONE))
            tell(Ended(ANNA, PHONE))
            await ear.hears(Ended(ANNA, PHONE))
            assert ear.heard[0] == HeadMoved(ANNA, 7, 1)

    async def test_missed_is_told_too(self, medium: Medium) -> None:
        async with process(medium) as (tell, _), process(medium) as (_, ear):
            before = ear.missed
            tell(MISSED)
            await ear.until(lambda: ear.missed > before)

    async def test_more_than_can_wait_is_never_lost_silently(self, medium: Medium) -> None:
        async with process(medium) as (tell, _), process(medium) as (_, ear):
            before, many = ear.missed, MOST + 10
            for n in range(many):
                tell(HeadMoved(n.to_bytes(16, "big"), 1, 1))
            await ear.hears(HeadMoved((many - 1).to_bytes(16, "big"), 1, 1))
            assert len(ear.heard) == many or ear.missed > before

    async def test_what_is_told_last_is_not_lost_silently(self, medium: Medium) -> None:
        async with process(medium) as (_, ear):
            async with process(medium) as (tell, _):
                before = ear.missed
                tell(Ended(BEN, None))
            await ear.until(lambda: Ended(BEN, None) in ear.heard or ear.missed > before)
            tell(Ended(ANNA, None))  # too late, and without an error

    async def test_who_left_hears_nothing_more(self, medium: Medium) -> None:
        async with process(medium) as (tell, _), process(medium) as (_, stays):
            async with process(medium) as (_, gone):
                pass
            tell(Ended(ANNA, PHONE))
            await stays.hears(Ended(ANNA, PHONE))
            assert gone.heard == []
