"""Units of work that are run together: as if each were run alone, but for how often the disk is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from echolia.storage.engine import (
    ConstraintViolated,
    Database,
    OutcomeUnknown,
    Result,
    Statement,
    StorageError,
)
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.together import MOST_TOGETHER, Together


class Held:
    """A database whose units wait for `go`; `sizes` are how many statements each had. See `Database`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.go = asyncio.Event()
        self.sizes: list[int] = []
        self.failure: StorageError | None = None

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """See there."""
        self.sizes.append(len(statements))
        await self.go.wait()
        if self.failure is not None:
            raise self.failure
        return await self._db.batch(statements, tx)

    async def snapshot(self, path: Path) -> None:
        """See there."""
        await self._db.snapshot(path)

    async def reclaim(self) -> None:
        """See there."""
        await self._db.reclaim()

    async def close(self) -> None:
        """See there."""
        await self._db.close()


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[Held]:
    """A database with a table of numbers."""
    driver = SqliteDriver(1)
    db = await driver.open(tmp_path / "numbers.db", create=True)
    await db.batch([Statement("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")])
    held = Held(db)
    yield held
    await held.close()
    await driver.close()


def put(number: int) -> list[Statement]:
    """Put it there, and give all that are there."""
    return [Statement("INSERT INTO numbers VALUES (?)", (number,)), Statement("SELECT number FROM numbers")]


async def begun(together: Together, *units: list[Statement]) -> list[asyncio.Task[list[Result]]]:
    """The units, each of which waits."""
    tasks = [asyncio.create_task(together.batch(unit)) for unit in units]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_what_comes_while_one_runs_is_run_as_one_in_order(held: Held) -> None:
    together = Together(held)
    (first,) = await begun(together, put(1))
    rest = await begun(together, put(2), put(3))
    held.go.set()
    found = [[row[0] for row in (await task)[1].rows] for task in (first, *rest)]
    assert found == [[1], [1, 2], [1, 2, 3]]
    assert held.sizes == [2, 4]
    assert len((await together.batch(put(4)))[1].rows) == 4


async def test_what_the_data_forbids_fails_alone(held: Held) -> None:
    together = Together(held)
    tasks = await begun(together, put(1))
    tasks += await begun(together, put(2), put(1), put(3))
    held.go.set()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in ended] == [list, list, ConstraintViolated, list]
    (found,) = await together.batch([Statement("SELECT number FROM numbers")], tx=False)
    assert found.rows == [(1,), (2,), (3,)]


async def test_what_nobody_knows_the_outcome_of_is_not_run_again(held: Held) -> None:
    together = Together(held)
    held.failure = OutcomeUnknown()
    tasks = await begun(together, put(1))
    tasks += await begun(together, put(2), put(3))
    held.go.set()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in ended] == [OutcomeUnknown] * 3
    assert held.sizes == [2, 4]
    held.failure = None
    assert len(await together.batch(put(4))) == 2


async def test_who_leaves_before_its_unit_begins_leaves_nothing(held: Held) -> None:
    together = Together(held)
    (first,) = await begun(together, put(1))
    gone, stays = await begun(together, put(2), put(3))
    gone.cancel()
    held.go.set()
    assert [row[0] for row in (await stays)[1].rows] == [1, 3]
    assert len(await first) == 2
    assert gone.cancelled()


async def test_who_leaves_meanwhile_takes_nobody_along(held: Held) -> None:
    together = Together(held)
    (first,) = await begun(together, put(1))
    first.cancel()
    (second,) = await begun(together, put(2))
    held.go.set()
    assert [row[0] for row in (await second)[1].rows] == [1, 2]


async def test_no_more_run_together_than_is_bearable(held: Held) -> None:
    together = Together(held)
    tasks = await begun(together, *(put(number) for number in range(MOST_TOGETHER + 3)))
    held.go.set()
    await asyncio.gather(*tasks)
    assert held.sizes == [2 * MOST_TOGETHER, 6]
