"""Room that deleted rows took goes back to the file system, in steps that others come between."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from echolia.storage.engine import Database, Result, Statement
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sqlite.reclaim import reclaim

ROWS = 400


async def filled(db: Database) -> None:
    """Rows of 10 KiB, of which all but ten are deleted again."""
    row = Statement("INSERT INTO t (b) VALUES (randomblob(10240))")
    await db.batch([Statement("CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB)"), *[row] * ROWS])
    await db.batch([Statement("DELETE FROM t WHERE n > 10")])
    await db.batch([Statement("PRAGMA wal_checkpoint(TRUNCATE)")], tx=False)


async def rows(db: Database) -> int:
    """How many rows there are."""
    (found,) = await db.batch([Statement("SELECT count(*) FROM t")])
    (count,) = found.rows[0]
    assert isinstance(count, int)
    return count


class Counted:
    """A database, and how many units of work it was given."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.count = 0

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """A unit of work."""
        self.count += 1
        return await self.db.batch(statements, tx)


async def test_the_file_shrinks_to_what_is_in_it(driver: SqliteDriver, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    db = await driver.open(path, create=True)
    await filled(db)
    before, counted = path.stat().st_size, Counted(db)
    await reclaim(counted)
    assert before > ROWS * 10240
    assert path.stat().st_size < 40 * 10240
    # Some thousand pages, a few hundred at a time: each time it is asked whether there are more.
    assert 8 < counted.count < 20
    assert await rows(db) == 10
    await db.close()


async def test_others_write_meanwhile(driver: SqliteDriver, tmp_path: Path) -> None:
    db = await driver.open(tmp_path / "a.db", create=True)
    await filled(db)
    await asyncio.gather(
        reclaim(db), *(db.batch([Statement("INSERT INTO t (b) VALUES (x'00')")]) for _ in range(20))
    )
    assert await rows(db) == 30
    await db.close()


async def test_a_file_of_before_keeps_its_pages_and_uses_them_again(
    driver: SqliteDriver, tmp_path: Path
) -> None:
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA auto_vacuum = NONE")
        raw.execute("CREATE TABLE former (a)")
    raw.close()
    db = await driver.open(path)
    await filled(db)
    before = path.stat().st_size
    await reclaim(db)
    await db.batch([Statement("INSERT INTO t (b) VALUES (randomblob(10240))")] * (ROWS - 10))
    await reclaim(db)
    assert path.stat().st_size == before
    assert await rows(db) == ROWS
    await db.close()


async def test_where_nothing_is_free_nothing_is_moved(driver: SqliteDriver, tmp_path: Path) -> None:
    db = await driver.open(tmp_path / "a.db", create=True)
    counted = Counted(db)
    await reclaim(counted)
    assert counted.count == 3
    await db.close()
