"""A real sqld that is killed, stands still, is full, or holds fewer databases open than are used."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from echolia.storage.engine import (
    Database,
    DatabaseBusy,
    OutcomeUnknown,
    PlaceFull,
    Statement,
    StorageError,
    Value,
)
from echolia.storage.hrana.sqld import Sqld
from tests.support.sqld import SqldProcess, account_named

pytestmark = pytest.mark.service

Start = Callable[..., "Cell"]
TABLE = Statement("CREATE TABLE things (n INTEGER PRIMARY KEY, half TEXT) STRICT")


class Cell(NamedTuple):
    """An sqld and its provisioner."""

    process: SqldProcess
    place: Sqld

    async def anna(self) -> Database:
        """A database with the table."""
        await self.place.create(account_named("anna"), [TABLE])
        return await self.place.open(account_named("anna"))


@pytest.fixture
async def start(service_binary: Callable[[str, str], str], tmp_path: Path) -> AsyncIterator[Start]:
    """Starts an sqld of the test's own."""
    started: list[Cell] = []

    def start(answer_s: float = 10.0, active: int = 100) -> Cell:
        process = SqldProcess(service_binary, tmp_path / f"sqld-{len(started)}", active)
        process.start()
        started.append(Cell(process, process.place(answer_s=answer_s)))
        return started[-1]

    yield start
    for cell in started:
        await cell.place.close()
        cell.process.stop()


def pair(n: int) -> list[Statement]:
    """Two rows that belong together."""
    sql = "INSERT INTO things VALUES (?, ?)"
    return [Statement(sql, (2 * n, "a")), Statement(sql, (2 * n + 1, "b"))]


async def numbers(db: Database) -> set[Value]:
    """Those of the rows that are there."""
    return {n for (n,) in (await db.batch([Statement("SELECT n FROM things")], tx=False))[0].rows}


async def test_killed_at_any_moment_it_has_what_it_acknowledged_and_no_halves(start: Start) -> None:
    cell = start()
    db = await cell.anna()
    acknowledged: set[int] = set()
    unknown: set[int] = set()
    for n in range(200):
        writing = asyncio.create_task(db.batch(pair(n)))
        if n % 20 == 19:
            await asyncio.sleep(n / 20_000)  # at another moment of its way each time
            cell.process.kill()
            cell.process.start()
        (outcome,) = await asyncio.gather(writing, return_exceptions=True)
        if isinstance(outcome, BaseException):
            assert isinstance(outcome, OutcomeUnknown)
            unknown.add(n)
        else:
            acknowledged.add(n)
    there = await numbers(db)
    assert {2 * n for n in acknowledged} <= there <= {m for n in range(200) for m in (2 * n, 2 * n + 1)}
    assert all((n ^ 1) in there for n in there if isinstance(n, int))
    assert 0 < len(unknown) <= 10
    await db.close()


def test_it_is_started_as_the_operations_page_says(
    service_binary: Callable[[str, str], str], tmp_path: Path, repository: Path
) -> None:
    process = SqldProcess(service_binary, tmp_path / "sqld")
    process.start()
    command = Path(f"/proc/{process.pid}/cmdline").read_text().split("\0")
    process.stop()
    page = (repository / "docs" / "operations.md").read_text()
    started = re.search(r"\.bin/sqld .*?\n```", page, re.DOTALL)
    assert started is not None
    assert set(re.findall(r"--[a-z-]+", started[0])) == {word for word in command if word.startswith("--")}


async def test_a_restart_is_waited_for_by_what_was_not_sent(start: Start) -> None:
    cell = start()
    db = await cell.anna()
    cell.process.stop()
    await asyncio.sleep(0.05)  # so that the ends of its connections are seen
    writing = asyncio.create_task(db.batch(pair(1)))
    await asyncio.sleep(0.1)
    cell.process.start()
    await writing
    cell.process.stop()
    await asyncio.sleep(0.05)
    with pytest.raises(DatabaseBusy, match="UNREACHABLE"):
        await db.batch(pair(2))
    cell.process.start()
    assert await numbers(db) == {2, 3}
    await db.close()


async def test_one_that_stands_still_is_given_up_and_goes_on(start: Start) -> None:
    cell = start(answer_s=0.5)
    db = await cell.anna()
    await db.batch(pair(1))
    with cell.process.frozen():
        with pytest.raises(OutcomeUnknown, match="TIMEOUT") as caught:
            await db.batch(pair(2))
        assert caught.value.code == "storage_uncertain"
        # Nothing is sent to a database of which nobody knows whether it is being written.
        with pytest.raises(DatabaseBusy, match="UNSETTLED"):
            await db.batch(pair(3))
    await db.batch(pair(4))
    there = await numbers(db)
    assert there in ({2, 3, 8, 9}, {2, 3, 4, 5, 8, 9})
    await asyncio.sleep(0.3)
    assert await numbers(db) == there  # what was given up does not come later
    await db.close()


async def test_what_is_abandoned_is_settled_before_the_next(start: Start) -> None:
    cell = start(answer_s=5)
    db = await cell.anna()
    for n in range(8):
        with cell.process.frozen():
            writing = asyncio.create_task(db.batch(pair(n)))
            await asyncio.sleep(0.02)
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
        before = await numbers(db)
        await asyncio.sleep(0.01)
        assert await numbers(db) == before
    await db.close()


async def test_a_full_disk_is_said_and_nothing_half_is_stored(start: Start) -> None:
    cell = start()
    db = await cell.anna()
    await db.batch(pair(0))
    cell.process.limit_files(400_000)
    long = Statement("INSERT INTO things VALUES (100, ?)", ("x" * 900_000,))
    with pytest.raises(PlaceFull):
        await db.batch([*pair(1), long])
    cell.process.limit_files(-1)
    await db.batch(pair(2))
    assert await numbers(db) == {0, 1, 4, 5}
    await db.close()


async def test_more_databases_than_it_holds_open_are_never_missing(start: Start) -> None:
    place = start(active=4).place
    accounts = [account_named(f"account {n}") for n in range(40)]
    for account in accounts:
        await place.create(account, [TABLE])
    opened = await asyncio.gather(*(place.open(account) for account in accounts))

    async def write(first: int) -> None:
        for step in range(40):
            at = (first * 7 + step * 13) % len(opened)
            await opened[at].batch(pair(first * 40 + step))

    await asyncio.gather(*(write(n) for n in range(8)))
    stored = [len(await numbers(db)) for db in opened]
    assert sum(stored) == 2 * 8 * 40
    for db in opened:
        await db.close()


async def test_a_batch_whose_lock_is_taken_away_applies_nothing(start: Start) -> None:
    cell = start()
    await cell.place.create(account_named("anna"), [TABLE])
    # Two that have one database open is what must never be; here it shows what sqld does to the slower one.
    slow, quick = [await cell.place.open(account_named("anna")) for _ in range(2)]
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9000000) SELECT max(i) FROM n"
    )
    one = asyncio.create_task(slow.batch([*pair(1), *[Statement(endless)] * 6, *pair(2)]))
    await asyncio.sleep(0.1)
    with pytest.raises(StorageError):
        await asyncio.gather(one, quick.batch(pair(3)))
    await asyncio.gather(one, return_exceptions=True)
    assert await numbers(quick) == {6, 7}
    for db in (slow, quick):
        await db.close()
