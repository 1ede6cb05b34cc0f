"""What every driver of the database port keeps; where drivers differ by nature, their `Home` says how.

A further driver is one more `Home` and one more line in `tests/contracts/test_drivers.py`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import pytest

from echolia.core.errors import EcholiaError
from echolia.storage.engine import (
    ConstraintViolated,
    Database,
    DatabaseMissing,
    OutcomeUnknown,
    Result,
    Statement,
    StorageError,
    Value,
)
from echolia.storage.sqlite.driver import SqliteDriver

TABLE: Final = Statement("CREATE TABLE things (id INTEGER PRIMARY KEY, v ANY, u TEXT UNIQUE) STRICT")
# Runs for hours unless it is interrupted.
ENDLESS: Final = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000000000) SELECT max(i) FROM n"
)


class Nature(NamedTuple):
    """How drivers differ by nature: whether a float may be infinite, how many bytes a blob may have at least
    and from how many on one is refused (None: the limit is too far away to be tried).
    """

    infinity: bool
    blob_bytes: int
    too_many_bytes: int | None


class Home(Protocol):
    """Where a driver's databases live during a test."""

    nature: Nature

    async def make(self, name: str) -> Database:
        """Open a database that does not exist yet."""
        ...

    async def open(self, name: str) -> Database:
        """Open a database that exists."""
        ...

    async def close(self) -> None:
        """End the driver."""
        ...


class SqliteHome:
    """SQLite files in a folder."""

    nature = Nature(infinity=True, blob_bytes=8_000_000, too_many_bytes=None)

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._driver = SqliteDriver(threads=4)

    async def make(self, name: str) -> Database:
        """A new file."""
        return await self._driver.open(self._folder / f"{name}.db", create=True)

    async def open(self, name: str) -> Database:
        """The file of that name."""
        return await self._driver.open(self._folder / f"{name}.db")

    async def close(self) -> None:
        """End the threads."""
        await self._driver.close()


async def rows(db: Database, sql: str, *params: Value) -> list[tuple[Value, ...]]:
    """The rows of one query."""
    return (await db.batch([Statement(sql, params)]))[0].rows


def insert(value: Value, unique: str | None = None) -> Statement:
    """A statement that inserts a thing."""
    return Statement("INSERT INTO things (v, u) VALUES (?, ?)", (value, unique))


async def comes_back(db: Database, value: Value) -> None:
    """Store it and read it again."""
    got = await db.batch([insert(value), Statement("SELECT v, typeof(v) FROM things")])
    [(back, kind)] = got[1].rows
    assert type(back) is type(value)
    assert back == value and repr(back)[:40] == repr(value)[:40]
    assert kind == {int: "integer", float: "real", str: "text", bytes: "blob"}.get(type(value), "null")


class DriverContract:
    """The promises of `engine.Database` and `engine.Driver`; `db` has the table of `TABLE`."""

    @pytest.mark.parametrize(
        "value",
        [
            *(0, 1, -1, 2**31, -(2**31) - 1, 2**32, 2**53 + 1, 1732119600123456789, 2**63 - 1, -(2**63)),
            *(0.1, -0.0, 5e-324, 1.7976931348623157e308),
            *("", "text", "be\x00fore", "\x00", "📊 naïve ﷺ", "e\u0301", "\ufeff", "x" * 1_000_000),
            *(b"", b"\x00", bytes(range(256)), b"\xff\xfe", b"\x00" * 1_000_000),
            None,
        ],
        ids=lambda value: f"{type(value).__name__}-{str(value)[:20].encode('unicode_escape').decode()}",
    )
    async def test_a_value_comes_back_as_it_went_in(self, db: Database, value: Value) -> None:
        await comes_back(db, value)

    async def test_the_longest_blob_comes_back_and_a_longer_one_is_refused(
        self, home: Home, db: Database
    ) -> None:
        await comes_back(db, random.Random(7).randbytes(home.nature.blob_bytes))
        if home.nature.too_many_bytes is not None:
            with pytest.raises(StorageError) as caught:
                await db.batch([insert(1), insert(bytes(home.nature.too_many_bytes))])
            assert caught.value.code == "storage_failed"
            assert await rows(db, "SELECT count(*) FROM things") == [(1,)]

    @pytest.mark.parametrize("value", [float("inf"), float("-inf")])
    async def test_infinity_comes_back_or_is_refused_before_it_is_sent(
        self, home: Home, db: Database, value: float
    ) -> None:
        if home.nature.infinity:
            await comes_back(db, value)
            return
        with pytest.raises(StorageError, match="FLOAT_NOT_FINITE"):
            await db.batch([insert(1), insert(value)])
        assert await rows(db, "SELECT count(*) FROM things") == [(0,)]
        # One that SQL works out is not mistaken for NULL either.
        with pytest.raises(OutcomeUnknown, match="FLOAT_NOT_FINITE"):
            await db.batch([Statement("SELECT 9e999")])

    @pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**80])
    async def test_an_integer_beyond_64_bits_is_refused_and_undoes_its_batch(
        self, db: Database, value: int
    ) -> None:
        with pytest.raises(StorageError):
            await db.batch([insert(1), insert(value)])
        assert await rows(db, "SELECT count(*) FROM things") == [(0,)]

    async def test_results_hold_rows_and_changes_of_each_statement(self, db: Database) -> None:
        results = await db.batch(
            [
                Statement("INSERT INTO things (v) VALUES (1), (2), (3) RETURNING id, v"),
                Statement("UPDATE things SET v = v + 10 WHERE v > ? RETURNING v", (1,)),
                Statement("SELECT v FROM things ORDER BY id"),
                Statement("WITH n(i) AS (VALUES (7), (8)) INSERT INTO things (v) SELECT i FROM n"),
                Statement("UPDATE things SET v = 0 WHERE id = 99"),
                Statement("DELETE FROM things"),
            ]
        )
        assert results == [
            Result([(1, 1), (2, 2), (3, 3)], 3),
            Result([(12,), (13,)], 2),
            Result([(1,), (12,), (13,)], 0),
            Result([], 2),
            Result([], 0),
            Result([], 5),
        ]

    async def test_numbered_placeholders_bind_by_their_number(self, db: Database) -> None:
        results = await db.batch(
            [
                Statement("INSERT INTO things (v, u) VALUES (?2, ?1 || ?1)", ("a", 5)),
                Statement("SELECT u, v, ?3 FROM things WHERE v = ?1 AND ?2 IS NULL", (5, None, b"third")),
            ]
        )
        assert results[1].rows == [("aa", 5, b"third")]

    async def test_an_unread_returning_still_writes(self, db: Database) -> None:
        await db.batch([Statement("INSERT INTO things (v) VALUES (1) RETURNING id")])
        assert await rows(db, "SELECT v FROM things") == [(1,)]

    async def test_a_batch_of_nothing_does_nothing(self, db: Database) -> None:
        assert await db.batch([]) == []
        assert await db.batch([], tx=False) == []

    @pytest.mark.parametrize(
        "breaks",
        [
            insert(2, "taken"),
            Statement("INSERT INTO things (id) VALUES (1)"),
            Statement("INSERT INTO things (id) VALUES ('text')"),
            Statement("INSERT INTO checked VALUES (0)"),
            Statement("INSERT INTO checked VALUES (NULL)"),
            Statement("INSERT INTO child VALUES (404)"),
        ],
        ids=["unique", "primary-key", "type", "check", "not-null", "foreign-key"],
    )
    @pytest.mark.parametrize("at", [0, 1, 2])
    async def test_a_broken_constraint_undoes_the_whole_batch(
        self, db: Database, breaks: Statement, at: int
    ) -> None:
        await db.batch(
            [
                insert(1, "taken"),
                Statement("CREATE TABLE checked (n INTEGER NOT NULL CHECK (n > 0)) STRICT"),
                Statement("CREATE TABLE child (of INTEGER REFERENCES things DEFERRABLE INITIALLY DEFERRED)"),
            ]
        )
        batch = [insert("a"), insert("b")]
        batch.insert(at, breaks)
        with pytest.raises(ConstraintViolated) as caught:
            await db.batch(batch)
        assert caught.value.code == "storage_constraint"
        assert await rows(db, "SELECT v FROM things") == [(1,)]
        assert await rows(db, "SELECT * FROM checked UNION ALL SELECT * FROM child") == []

    async def test_a_single_statement_applies_wholly_or_not_at_all(self, db: Database) -> None:
        with pytest.raises(ConstraintViolated):
            await db.batch([Statement("INSERT INTO things (u) VALUES ('a'), ('b'), ('a')")])
        assert await rows(db, "SELECT count(*) FROM things") == [(0,)]

    async def test_a_schema_change_is_undone_too(self, db: Database) -> None:
        with pytest.raises(StorageError):
            await db.batch([Statement("CREATE TABLE half (a)"), Statement("INSERT INTO nowhere VALUES (1)")])
        assert await rows(db, "SELECT name FROM sqlite_schema WHERE name = 'half'") == []

    async def test_without_tx_what_came_before_a_failure_stays(self, db: Database) -> None:
        with pytest.raises(ConstraintViolated):
            await db.batch([insert(1, "a"), insert(2, "a"), insert(3, "b")], tx=False)
        assert await rows(db, "SELECT v FROM things") == [(1,)]

    async def test_a_transaction_cannot_be_left_open(self, db: Database) -> None:
        with pytest.raises(StorageError):
            await db.batch([Statement("BEGIN"), insert(1)], tx=False)
        await db.batch([insert(2), insert(3)])
        assert await rows(db, "SELECT v FROM things") == [(2,), (3,)]

    @pytest.mark.parametrize("tx", [True, False])
    async def test_a_database_goes_on_after_a_failure(self, db: Database, tx: bool) -> None:
        for sql in ("nonsense", "SELECT * FROM nowhere", "SELECT 1; SELECT 2", "SELECT ?"):
            with pytest.raises(StorageError) as caught:
                await db.batch([insert("x"), Statement(sql)], tx)
            assert caught.value.code == "storage_failed"
        assert len((await db.batch([insert(1)]))[0].rows) == 0

    async def test_an_error_names_no_content(self, db: Database) -> None:
        secret = "kanariya"
        for statement in (
            Statement(f"SELECT {secret} FROM things"),
            Statement("SELECT json(?)", (secret,)),
            Statement("SELECT CAST(? AS TEXT)", (secret.encode() + b"\xff",)),
            insert(1, secret),
            insert("\ud800" + secret),
            Statement("INSERT INTO things (id) VALUES (?)", (secret,)),
        ):
            with pytest.raises(StorageError) as caught:
                await db.batch([insert(0, secret), statement])
            seen: BaseException | None = caught.value
            while seen is not None:
                assert secret not in f"{seen!r} {seen} {seen.__notes__ if hasattr(seen, '__notes__') else ''}"
                seen = seen.__cause__ or seen.__context__

    async def test_databases_do_not_see_each_other(self, home: Home, db: Database) -> None:
        other = await home.make("other")
        try:
            await other.batch([TABLE, insert("other's")])
            await db.batch([insert("mine")])
            assert await rows(db, "SELECT v FROM things") == [("mine",)]
            assert await rows(other, "SELECT v FROM things") == [("other's",)]
            with pytest.raises(StorageError):
                await other.batch([Statement("ATTACH 'main.db' AS o")], tx=False)
        finally:
            await other.close()

    async def test_concurrent_batches_run_one_after_another(self, db: Database) -> None:
        await db.batch([insert(0)])
        step = [
            Statement("INSERT INTO things (v) SELECT v + 1 FROM things ORDER BY v DESC LIMIT 1"),
            Statement("SELECT max(v), count(*) FROM things"),
        ]
        results = await asyncio.gather(*(db.batch(step) for _ in range(60)))
        assert sorted(str(result[1].rows) for result in results) == sorted(
            str([(n, n + 1)]) for n in range(1, 61)
        )

    @pytest.mark.parametrize("tx", [True, False])
    @pytest.mark.parametrize("ticks", [0, 1, 2, 5, 50, 500])
    async def test_a_cancelled_batch_stops_and_applies_nothing(
        self, db: Database, ticks: int, tx: bool
    ) -> None:
        endless = [Statement(ENDLESS)] if not tx else [insert(1), Statement(ENDLESS), insert(2)]
        running = asyncio.create_task(db.batch(endless, tx))
        for _ in range(ticks):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(running, 30)
        await db.batch([insert("next")])
        assert await rows(db, "SELECT v FROM things") == [("next",)]

    async def test_a_batch_that_waits_for_its_turn_can_be_cancelled(self, db: Database) -> None:
        first = asyncio.create_task(db.batch([Statement(ENDLESS)]))
        waiting = [asyncio.create_task(db.batch([insert(n), insert(n)])) for n in range(5)]
        await asyncio.sleep(0)
        for task in [*waiting, first]:
            task.cancel()
        done = await asyncio.wait_for(asyncio.gather(first, *waiting, return_exceptions=True), 30)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in done)
        assert await rows(db, "SELECT count(*) FROM things") == [(0,)]

    async def test_cancellations_at_any_moment_leave_whole_batches(self, db: Database) -> None:
        async def pair(n: int, ticks: int) -> None:
            task = asyncio.create_task(db.batch([insert(n, f"{n}a"), insert(n, f"{n}b")]))
            for _ in range(ticks):
                await asyncio.sleep(0)
            task.cancel()
            try:
                await task
                acknowledged.add(n)
            except asyncio.CancelledError:
                pass

        acknowledged: set[Value] = set()
        await asyncio.gather(*(pair(n, n * 7 % 90) for n in range(300)))
        counts = await rows(db, "SELECT v, count(*) FROM things GROUP BY v")
        assert all(count == 2 for _, count in counts)
        assert acknowledged <= {n for n, _ in counts}

    async def test_what_was_cancelled_does_not_come_after_what_follows(self, db: Database) -> None:
        count = "SELECT count(*) FROM things"
        for n in range(120):
            writing = asyncio.create_task(db.batch([insert(n), insert(n)]))
            for _ in range(n % 15):
                await asyncio.sleep(0)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            before = await db.batch([Statement(count)], tx=False)
            await asyncio.sleep(0.005)  # a server would have it done by now
            assert await db.batch([Statement(count)], tx=False) == before

    async def test_what_was_written_is_there_after_reopening(self, home: Home) -> None:
        db = await home.make("kept")
        await db.batch([TABLE, insert("kept")])
        await db.close()
        db = await home.open("kept")
        assert await rows(db, "SELECT v FROM things") == [("kept",)]
        await db.close()

    async def test_a_missing_database_stays_missing(self, home: Home) -> None:
        for _ in range(2):
            with pytest.raises(DatabaseMissing) as caught:
                await home.open("nobody")
            assert caught.value.code == "storage_missing"

    async def test_close_waits_and_ends_it(self, home: Home) -> None:
        db = await home.make("closing")
        batches: Sequence[asyncio.Task[list[Result]]] = [
            asyncio.create_task(db.batch([TABLE])),
            asyncio.create_task(db.batch([insert(1)])),
        ]
        await asyncio.sleep(0)
        await db.close()
        assert [task.done() and task.exception() for task in batches] == [None, None]
        await db.close()
        with pytest.raises(EcholiaError):
            await db.batch([insert(2)])
