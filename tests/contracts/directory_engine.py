"""What both engines of the directory keep: the suite runs on each entry of `ENGINES`.

It asks for `DriverContract`'s promises in the language that the engines share. What PostgreSQL does not do,
and the directory does not need: a column of ANY type, so each type has a column of its own here; an index
over values longer than some 2,700 bytes; a NUL in a text, which is refused
(`tests/storage/test_postgres_driver.py`); a missing database told from a missing server (both are
`directory_unreachable`); batches that begin in the order in which they were asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from echolia.storage.engine import ConstraintViolated, Database, Result, Statement, StorageError, Value
from echolia.storage.postgres.connections import Address
from echolia.storage.postgres.directory import open_postgres_directory
from tests.contracts.driver import Home, Nature, SqliteHome, rows
from tests.support.postgres import Postgres

TABLE: Final = Statement(
    "CREATE TABLE things (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " n INTEGER, t TEXT UNIQUE, c TEXT, b BLOB, r REAL) STRICT"
)
# Runs for hours unless it is interrupted.
ENDLESS: Final = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000)"
    " SELECT max(i) FROM n"
)
VALUES: Final[tuple[Value, ...]] = (
    *(0, 1, -1, 2**31, -(2**31) - 1, 2**32, 2**53 + 1, 1732119600123456789, 2**63 - 1, -(2**63)),
    *(0.1, 5e-324, 1.7976931348623157e308, float("inf")),
    *("", "text", "it's", "$1 ? %s %%", "📊 naïve ﷺ", "e\u0301", "\ufeff", "x" * 1_000_000),
    *(b"", b"\x00", bytes(range(256)), b"\xff\xfe", b"\x00" * 5_000_000, None),
)
COLUMN: Final = {int: "n", str: "c", bytes: "b", float: "r", type(None): "n"}


class PostgresHome:
    """Databases of a real PostgreSQL."""

    nature = Nature(infinity=True, blob_bytes=8_000_000, too_many_bytes=None)

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._urls: dict[str, str] = {}

    async def make(self, name: str) -> Database:
        """A new database."""
        self._urls[name] = self._postgres.fresh(migrated=False)
        return await self.open(name)

    async def open(self, name: str) -> Database:
        """The database of that name."""
        return await open_postgres_directory(Address(self._urls[name], seconds=60), [], most=4)

    async def close(self) -> None:
        """Remove the databases."""
        for url in self._urls.values():
            self._postgres.drop(url)


ENGINES: Final[dict[str, Callable[[Path, Callable[[], Postgres]], Home]]] = {
    "sqlite": lambda folder, _: SqliteHome(folder),
    "postgres": lambda _, postgres: PostgresHome(postgres()),
}


def insert(n: int, text: str | None = None) -> Statement:
    """A statement that inserts a thing."""
    return Statement("INSERT INTO things (n, t) VALUES (?, ?)", (n, text))


class DirectoryEngineContract:
    """The promises of `engine.Database`; `db` has the table of `TABLE`."""

    async def test_values_come_back_as_they_went_in(self, db: Database) -> None:
        for value in VALUES:
            column = COLUMN[type(value)]
            put = Statement(f"INSERT INTO things ({column}) VALUES (?) RETURNING id, {column}", (value,))
            [[(number, first)]] = [result.rows for result in await db.batch([put])]
            [(second,)] = await rows(db, f"SELECT {column} FROM things WHERE id = ?", number)
            for back in (first, second):
                assert type(back) is type(value)
                assert back == value

    async def test_what_is_computed_has_the_same_types(self, db: Database) -> None:
        await db.batch([insert(2**62), insert(-5, "a"), insert(7)])
        [(got,)] = [
            result.rows
            for result in await db.batch(
                [
                    Statement(
                        "SELECT count(*), count(t), sum(n), max(t), min(n), sum(n) > 0, t IS NULL, 7 / 2,"
                        " length(b)"
                        " FROM things WHERE n < ? GROUP BY t, b HAVING count(*) = 2",
                        (2**62 + 1,),
                    )
                ]
            )
        ]
        assert repr(got) == repr((2, 0, 2**62 + 7, None, 7, 1, 1, 3, None))

    async def test_an_integer_beyond_64_bits_is_refused_and_undoes_its_batch(self, db: Database) -> None:
        for value in (2**63, -(2**63) - 1, 2**80):
            with pytest.raises(StorageError):
                await db.batch([insert(1), insert(value)])
        assert await rows(db, "SELECT count(*) FROM things") == [(0,)]

    async def test_results_hold_rows_and_changes_of_each_statement(self, db: Database) -> None:
        results = await db.batch(
            [
                Statement("INSERT INTO things (n) VALUES (1), (2), (3) RETURNING id, n"),
                Statement("UPDATE things SET n = n + 10 WHERE n > ? RETURNING n", (1,)),
                Statement("SELECT n FROM things ORDER BY id"),
                Statement("WITH n(i) AS (VALUES (7), (8)) INSERT INTO things (n) SELECT i FROM n"),
                Statement("UPDATE things SET n = 0 WHERE id = 99"),
                Statement("INSERT INTO things (id) VALUES (1) ON CONFLICT DO NOTHING"),
                Statement("DELETE FROM things"),
            ]
        )
        assert results == [
            Result([(1, 1), (2, 2), (3, 3)], 3),
            Result([(12,), (13,)], 2),
            Result([(1,), (12,), (13,)], 0),
            Result([], 2),
            Result([], 0),
            Result([], 0),
            Result([], 5),
        ]

    async def test_placeholders_bind_by_their_number_or_one_after_another(self, db: Database) -> None:
        results = await db.batch(
            [
                Statement("INSERT INTO things (n, t) VALUES (?2, ?1 || ?1 || '?')", ("a", 5)),
                Statement(
                    "SELECT t, ?3 FROM things WHERE n = ?1 AND (t = ?2 OR ?2 IS NULL)", (5, None, b"3")
                ),
                Statement("SELECT ?, t, ? FROM things WHERE n IN (?, ?)", ("one", b"two", 5, 6)),
            ]
        )
        assert [result.rows for result in results] == [[], [("aa?", b"3")], [("one", "aa?", b"two")]]

    async def test_a_parameter_may_be_null_wherever_it_stands(self, db: Database) -> None:
        put = "INSERT INTO things (n, t, b) SELECT ?1, ?2, ?3 WHERE ?2 IS NULL OR ?1 IS NOT NULL"
        change = "UPDATE things SET t = ?2, b = ?3 WHERE n = ?1 AND (b IS NULL OR ?3 IS NULL) AND ?2 IS NULL"
        results = await db.batch(
            [
                Statement(put, (None, None, b"b")),
                Statement(put, (1, "one", None)),
                Statement(put, (None, "none", None)),
                Statement(change, (1, None, None)),
                Statement("SELECT n, t, b, ? FROM things ORDER BY id", (None,)),
            ]
        )
        assert [result.changed for result in results] == [1, 1, 0, 1, 0]
        assert results[-1].rows == [(None, None, b"b", None), (1, None, None, None)]

    @pytest.mark.parametrize("params", [(), (1, 2), (None, None)])
    async def test_parameters_are_as_many_as_there_are_places(
        self, db: Database, params: tuple[Value, ...]
    ) -> None:
        with pytest.raises(StorageError):
            await db.batch([insert(1), Statement("SELECT n FROM things WHERE n = ?", params)])
        assert await rows(db, "SELECT count(*) FROM things") == [(0,)]

    async def test_a_batch_of_nothing_does_nothing(self, db: Database) -> None:
        assert await db.batch([]) == []
        assert await db.batch([], tx=False) == []

    @pytest.mark.parametrize(
        "breaks",
        [
            insert(2, "taken"),
            Statement("INSERT INTO things (id) VALUES (1)"),
            Statement("INSERT INTO things (n) VALUES ('text')"),
            Statement("INSERT INTO things (n) VALUES (?)", ("text",)),
            Statement("INSERT INTO checked VALUES (0)"),
            Statement("INSERT INTO checked VALUES (NULL)"),
            Statement("INSERT INTO child VALUES (404)"),
        ],
        ids=["unique", "primary-key", "type", "bound-type", "check", "not-null", "foreign-key"],
    )
    @pytest.mark.parametrize("at", [0, 2])
    async def test_a_broken_constraint_undoes_the_whole_batch(
        self, db: Database, breaks: Statement, at: int
    ) -> None:
        deferred = "CREATE TABLE child (of_id INTEGER REFERENCES things DEFERRABLE INITIALLY DEFERRED) STRICT"
        await db.batch(
            [
                Statement("INSERT INTO things (id, n, t) VALUES (1, 1, 'taken')"),
                Statement("CREATE TABLE checked (n INTEGER NOT NULL CHECK (n > 0)) STRICT"),
                Statement(deferred),
            ]
        )
        batch = [Statement("INSERT INTO things (id) VALUES (?)", (number,)) for number in (10, 11)]
        batch.insert(at, breaks)
        with pytest.raises(ConstraintViolated) as caught:
            await db.batch(batch)
        assert caught.value.code == "storage_constraint"
        assert await rows(db, "SELECT id FROM things") == [(1,)]
        assert await rows(db, "SELECT n FROM checked UNION ALL SELECT of_id FROM child") == []

    async def test_a_single_statement_applies_wholly_or_not_at_all(self, db: Database) -> None:
        with pytest.raises(ConstraintViolated):
            await db.batch([Statement("INSERT INTO things (t) VALUES ('a'), ('b'), ('a')")])
        assert await rows(db, "SELECT count(*) FROM things") == [(0,)]

    async def test_a_schema_change_is_undone_too(self, db: Database) -> None:
        half = Statement("CREATE TABLE half (a TEXT) STRICT")
        with pytest.raises(StorageError):
            await db.batch([half, Statement("INSERT INTO nowhere VALUES (1)")])
        await db.batch([half])

    async def test_without_tx_what_came_before_a_failure_stays(self, db: Database) -> None:
        with pytest.raises(ConstraintViolated):
            await db.batch([insert(1, "a"), insert(2, "a"), insert(3, "b")], tx=False)
        assert await rows(db, "SELECT n FROM things") == [(1,)]

    async def test_a_transaction_cannot_be_left_open(self, db: Database) -> None:
        with pytest.raises(StorageError):
            await db.batch([Statement("BEGIN"), insert(1)], tx=False)
        await db.batch([insert(2), insert(3)])
        assert await rows(db, "SELECT n FROM things ORDER BY n") == [(2,), (3,)]

    @pytest.mark.parametrize("tx", [True, False])
    async def test_a_database_goes_on_after_a_failure(self, db: Database, tx: bool) -> None:
        for sql in ("nonsense", "SELECT * FROM nowhere", "SELECT 1; SELECT 2", "SELECT ?"):
            with pytest.raises(StorageError) as caught:
                await db.batch([insert(1), Statement(sql)], tx)
            assert caught.value.code == "storage_failed"
        assert len((await db.batch([insert(1)]))[0].rows) == 0

    async def test_an_error_names_no_content(self, db: Database) -> None:
        secret = "kanariya"
        for statement in (
            Statement(f"SELECT {secret} FROM things"),
            Statement("INSERT INTO things (b) VALUES (?)", (f"\\x{secret}",)),
            insert(1, secret),
            insert(1, "\ud800" + secret),
            Statement("INSERT INTO things (n) VALUES (?)", (secret,)),
            Statement(f"INSERT INTO things (n) VALUES ('{secret}')"),
        ):
            with pytest.raises(StorageError) as caught:
                await db.batch([insert(0, secret), statement])
            seen: BaseException | None = caught.value
            while seen is not None:
                assert secret not in f"{seen!r} {seen} {getattr(seen, '__notes__', '')}"
                seen = seen.__cause__ or seen.__context__

    async def test_databases_do_not_see_each_other(self, home: Home, db: Database) -> None:
        other = await home.make("other")
        try:
            await other.batch([TABLE, insert(1, "other's")])
            await db.batch([insert(1, "mine")])
            assert await rows(db, "SELECT t FROM things") == [("mine",)]
            assert await rows(other, "SELECT t FROM things") == [("other's",)]
        finally:
            await other.close()

    async def test_concurrent_batches_mean_what_they_would_one_after_another(self, db: Database) -> None:
        await db.batch([insert(0)])
        step = [
            Statement("INSERT INTO things (n) SELECT n + 1 FROM things ORDER BY n DESC LIMIT 1"),
            Statement("SELECT max(n), count(*) FROM things"),
        ]
        results = await asyncio.gather(*(db.batch(step) for _ in range(60)))
        assert sorted(str(result[1].rows) for result in results) == sorted(
            str([(n, n + 1)]) for n in range(1, 61)
        )

    @pytest.mark.parametrize("tx", [True, False])
    @pytest.mark.parametrize("ticks", [0, 1, 5, 50, 500])
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
        await db.batch([insert(3)])
        assert await rows(db, "SELECT n FROM things") == [(3,)]

    async def test_batches_that_wait_for_their_turn_can_be_cancelled(self, db: Database) -> None:
        endless = [asyncio.create_task(db.batch([Statement(ENDLESS)])) for _ in range(5)]
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(db.batch([Statement(ENDLESS), insert(n)])) for n in range(5)]
        await asyncio.sleep(0)
        for task in [*waiting, *endless]:
            task.cancel()
        done = await asyncio.wait_for(asyncio.gather(*endless, *waiting, return_exceptions=True), 30)
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
        await asyncio.gather(*(pair(n, n * 7 % 90) for n in range(100)))
        counts = await rows(db, "SELECT n, count(*) FROM things GROUP BY n")
        assert all(count == 2 for _, count in counts)
        assert acknowledged <= {n for n, _ in counts}

    async def test_what_was_written_is_there_after_reopening(self, home: Home) -> None:
        db = await home.make("kept")
        await db.batch([TABLE, insert(1, "kept")])
        await db.close()
        db = await home.open("kept")
        assert await rows(db, "SELECT t FROM things") == [("kept",)]
        await db.close()

    async def test_close_waits_and_ends_it(self, home: Home) -> None:
        db = await home.make("closing")
        await db.batch([TABLE])
        batches = [asyncio.create_task(db.batch([insert(n)])) for n in range(3)]
        await asyncio.sleep(0)
        await db.close()
        assert [task.done() and task.exception() for task in batches] == [None] * 3
        await db.close()
        with pytest.raises(StorageError):
            await db.batch([insert(2)])
