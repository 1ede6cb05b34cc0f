"""Notices by the directory: between real processes, after a long sleep, over a database that is busy."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import structlog

from echolia.web.notices.database import KEPT_MS, PAGE
from echolia.web.notices.port import MISSED, Ended, HeadMoved
from tests.contracts.notices import ANNA, BEN, PHONE, DatabaseMedium, Ear, process, until

# Another server process: tells what it heard, one line each, and answers with a notice of its own.
CHILD = """
import asyncio, sys, time
from pathlib import Path
from echolia.storage.directory import open_directory
from echolia.storage.migrate import load_migrations
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.web.notices.database import DatabaseNotices
from echolia.web.notices.port import Ended

async def main():
    driver = SqliteDriver(1)
    db = await open_directory(Path(sys.argv[1]), driver, load_migrations("directory"))
    notices = DatabaseNotices(db, lambda: time.time_ns() // 1_000_000, poll_s=0.005)
    async with notices.joined(lambda notice: print(repr(notice), flush=True)) as tell:
        await asyncio.to_thread(sys.stdin.readline)
        tell(Ended(b"b" * 16, b"p" * 16))
        await asyncio.to_thread(sys.stdin.readline)
    await db.close()
    await driver.close()

asyncio.run(main())
"""


@pytest.fixture
async def medium(tmp_path: Path, service_binary: Callable[[str, str], str]) -> AsyncIterator[DatabaseMedium]:
    """A directory."""
    medium = DatabaseMedium(tmp_path, service_binary)
    yield medium
    await medium.close()


async def test_two_processes_tell_each_other(medium: DatabaseMedium) -> None:
    async with process(medium) as (tell, ear):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, str(medium.path),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert child.stdin is not None and child.stdout is not None
        async with asyncio.timeout(30):
            assert (await child.stdout.readline()).decode().strip() == repr(MISSED)
            tell(HeadMoved(ANNA, 7, 5))
            assert (await child.stdout.readline()).decode().strip() == repr(HeadMoved(ANNA, 7, 5))
            child.stdin.write(b"\n")
            await ear.hears(Ended(BEN, PHONE))
            child.stdin.write(b"\n")
            assert await child.wait() == 0


def rows(path: Path) -> list[tuple[object, ...]]:
    """What stands in the table."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT id, account, told_ms FROM live_notices ORDER BY id").fetchall()
    finally:
        connection.close()


def write(path: Path, *statements: str) -> None:
    """Another process's hand."""
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


async def test_what_was_removed_unread_is_missed(medium: DatabaseMedium) -> None:
    async with process(medium) as (_, ear):
        before = ear.missed
        insert = "INSERT INTO live_notices (sender, account, told_ms) VALUES (x'00', zeroblob(16), 0)"
        write(medium.path, insert, insert, "DELETE FROM live_notices WHERE id = 1")
        await ear.until(lambda: ear.missed == before + 1 and len(ear.heard) == 1)
        write(medium.path, insert, insert, insert, "DELETE FROM live_notices WHERE id = 4")
        await ear.until(lambda: len(ear.heard) == 3)
        assert ear.missed == before + 2
        write(medium.path, insert)
        await ear.until(lambda: len(ear.heard) == 4)
        assert ear.missed == before + 2


async def test_more_than_a_page_is_read_to_its_end(medium: DatabaseMedium) -> None:
    async with process(medium) as (_, ear):
        count = PAGE * 2
        write(
            medium.path,
            "INSERT INTO live_notices (sender, account, told_ms)"
            f" WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {count})"
            " SELECT x'00', zeroblob(16), 0 FROM n",
        )
        await ear.until(lambda: len(ear.heard) == count)


async def test_notices_are_removed_after_a_minute(medium: DatabaseMedium) -> None:
    now_ms = [1_000_000]
    notices, ear = await medium.notices(lambda: now_ms[0]), Ear()
    async with process(medium) as (_, other), notices.joined(ear) as tell:
        tell(Ended(ANNA, None))
        await other.hears(Ended(ANNA, None))
        assert len(rows(medium.path)) == 1
        now_ms[0] += KEPT_MS + 1
        tell(Ended(BEN, None))
        await other.hears(Ended(BEN, None))
        assert [account for _, account, _ in rows(medium.path)] == [BEN]


async def test_they_are_removed_though_nobody_tells_anything(medium: DatabaseMedium) -> None:
    now_ms = [1_000_000]
    notices, ear = await medium.notices(lambda: now_ms[0]), Ear()
    async with process(medium) as (_, other), notices.joined(ear) as tell:
        await ear.until(lambda: ear.missed > 0)
        tell(Ended(ANNA, None))
        await other.hears(Ended(ANNA, None))
        now_ms[0] += KEPT_MS + 1
        await until(lambda: [account for _, account, _ in rows(medium.path)] == [None])


async def test_over_a_busy_database_nothing_is_lost_silently(medium: DatabaseMedium) -> None:
    impatient, ear = await medium.notices(busy_ms=1), Ear()
    blocking = sqlite3.connect(medium.path, isolation_level=None)
    with structlog.testing.capture_logs() as logs:
        async with process(medium) as (_, other), impatient.joined(ear) as tell:
            await ear.until(lambda: ear.missed > 0)
            before = other.missed
            blocking.execute("BEGIN IMMEDIATE")
            tell(HeadMoved(ANNA, 7, 1))
            await until(lambda: logs)
            blocking.execute("ROLLBACK")
            await other.until(lambda: other.missed > before)
            tell(HeadMoved(ANNA, 7, 2))
            await other.hears(HeadMoved(ANNA, 7, 2))
            assert other.heard == [HeadMoved(ANNA, 7, 2)]
    blocking.close()
    assert [event["event"] for event in logs] == ["notices_away"]
