"""What every driver keeps of snapshots: all of one moment, as a file, or no file."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from echolia.storage.engine import Database, DatabaseExists, Statement, StorageError
from tests.contracts.driver import Home, insert, rows

_SCHEMA: Final = (
    "CREATE TABLE plain (x, y)",
    "CREATE TABLE numbered (id INTEGER PRIMARY KEY, real, blob)",
    "CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT)",
    "CREATE TABLE keyed (p TEXT, q INTEGER, z, PRIMARY KEY (q, p)) WITHOUT ROWID",
    'CREATE TABLE "odd "" name" ("rowid" TEXT, "or der" BLOB)',
    "CREATE TABLE worked_out (a INTEGER, b INTEGER AS (a * 2) STORED)",
    "CREATE TABLE empty (a)",
    "CREATE INDEX by_y ON plain (y)",
    "CREATE UNIQUE INDEX some ON numbered (real) WHERE real > 0",
    "CREATE VIEW shown AS SELECT x FROM plain",
    "CREATE TRIGGER counts AFTER INSERT ON numbered BEGIN INSERT INTO plain VALUES (new.id, 'counted'); END",
)
_SAME: Final = (
    "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name",
    "SELECT rowid, x, y, typeof(x), typeof(y) FROM plain ORDER BY rowid",
    "SELECT * FROM numbered ORDER BY id",
    "SELECT * FROM counted ORDER BY id",
    "SELECT * FROM keyed ORDER BY p, q",
    'SELECT _rowid_, * FROM "odd "" name" ORDER BY _rowid_',
    "SELECT a, b FROM worked_out ORDER BY a",
    "SELECT * FROM sqlite_sequence",
)


async def fill(db: Database) -> None:
    """Make the tables and rows; some rows are larger than a page that is read at a time."""
    chance = random.Random(3)
    await db.batch([Statement(sql) for sql in _SCHEMA])
    for n in range(12):
        blob = chance.randbytes(1_500_000 if n == 5 else 150_000)
        await db.batch(
            [
                Statement("INSERT INTO numbered (real, blob) VALUES (?, ?)", (chance.random(), blob)),
                Statement("INSERT INTO counted (text) VALUES (?)", (f"text {n}\x00📊",)),
                Statement("INSERT INTO keyed VALUES (?, ?, ?)", (f"p{n}", n % 3, None)),
                Statement('INSERT INTO "odd "" name" VALUES (?, ?)', (f"r{n}", bytes([n]))),
                Statement("INSERT INTO worked_out (a) VALUES (?)", (n * 2**40,)),
                *(Statement("INSERT INTO plain VALUES (?, ?)", (k, "é" * k)) for k in range(100)),
            ]
        )
    await db.batch(
        [Statement("DELETE FROM counted WHERE id = 12"), Statement("DELETE FROM plain WHERE x = 7")]
    )


async def assert_same(db: Database, path: Path) -> None:
    """The file holds what the database holds."""
    copy = sqlite3.connect(path)
    try:
        for sql in _SAME:
            assert copy.execute(sql).fetchall() == (await db.batch([Statement(sql)], tx=False))[0].rows, sql
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        copy.close()


class SnapshotContract:
    """The promises of `engine.Database.snapshot`; the fixtures are those of `DriverContract`."""

    async def test_a_snapshot_holds_everything(self, home: Home, tmp_path: Path) -> None:
        db = await home.make("full")
        await fill(db)
        path = tmp_path / "snapshot.db"
        await db.snapshot(path)
        await assert_same(db, path)
        assert path.stat().st_mode & 0o777 == 0o600
        await db.close()

    async def test_a_snapshot_shows_one_moment(self, db: Database, tmp_path: Path) -> None:
        await db.batch([insert(n, str(n)) for n in range(300)])
        taking = asyncio.create_task(db.snapshot(tmp_path / "snapshot.db"))
        await asyncio.sleep(0)
        for n in range(300, 320):
            await db.batch([insert(n, str(n)), Statement("DELETE FROM things WHERE u = ?", (str(n - 300),))])
        await taking
        copy = sqlite3.connect(tmp_path / "snapshot.db")
        assert copy.execute("SELECT count(*), max(v) - min(v) FROM things").fetchall() == [(300, 299)]
        copy.close()

    async def test_a_snapshot_that_fails_leaves_no_file(self, db: Database, tmp_path: Path) -> None:
        taken = tmp_path / "taken.db"
        taken.write_bytes(b"somebody's")
        with pytest.raises(DatabaseExists):
            await db.snapshot(taken)
        assert taken.read_bytes() == b"somebody's"
        with pytest.raises(StorageError):
            await db.snapshot(tmp_path / "absent" / "snapshot.db")
        await db.batch([Statement("CREATE TABLE many (b BLOB)"), *[insert(bytes(100_000))] * 20])
        for ticks in (0, 5, 50, 500):
            taking = asyncio.create_task(db.snapshot(tmp_path / "snapshot.db"))
            for _ in range(ticks):
                await asyncio.sleep(0)
            taking.cancel()
            (outcome,) = await asyncio.gather(taking, return_exceptions=True)
            if (tmp_path / "snapshot.db").exists():  # it was done by then
                with closing(sqlite3.connect(tmp_path / "snapshot.db")) as whole:
                    assert whole.execute("SELECT count(*) FROM things").fetchone() == (20,)
            else:
                assert isinstance(outcome, asyncio.CancelledError)
            (tmp_path / "snapshot.db").unlink(missing_ok=True)
        assert await rows(db, "SELECT count(*) FROM things") == [(20,)]
