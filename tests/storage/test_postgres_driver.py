"""What PostgreSQL does that a file does not: it is away, restarts, stops what is slow, serves several."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

import psycopg
import pytest

from echolia.core.errors import EcholiaError
from echolia.storage.engine import Database, DatabaseBusy, Statement, StorageError
from echolia.storage.migrate import assert_current, load_migrations
from echolia.storage.postgres.connections import Address
from echolia.storage.postgres.directory import open_postgres_directory
from echolia.storage.postgres.driver import PostgresDatabase
from tests.contracts.directory_engine import TABLE, insert
from tests.contracts.driver import rows
from tests.support.postgres import Postgres

pytestmark = pytest.mark.service


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    """A database with nothing in it."""
    url = postgres.fresh(migrated=False)
    yield url
    postgres.drop(url)


@pytest.fixture
def mortal(service_binary: Callable[[str, str], str]) -> Iterator[Postgres]:
    """A PostgreSQL of the test's own, to be killed."""
    with Postgres(service_binary) as cluster:
        yield cluster


class Opens(Protocol):
    """Opens databases, which the test's end closes."""

    async def __call__(self, url: str, seconds: float = 10, most: int = 4) -> PostgresDatabase:
        """The database at the address."""
        ...


@pytest.fixture
async def opened() -> AsyncIterator[Opens]:
    """Opens databases; closes them even where a test fails, or the loop would wait for their pools."""
    async with AsyncExitStack() as stack:

        async def opens(url: str, seconds: float = 10, most: int = 4) -> PostgresDatabase:
            db = await open_postgres_directory(Address(url, seconds), [], most)
            stack.push_async_callback(db.close)
            return db

        yield opens


@pytest.fixture
async def db(url: str, opened: Opens) -> PostgresDatabase:
    """A database with the contract's table."""
    db = await opened(url)
    await db.batch([TABLE])
    return db


@asynccontextmanager
async def locked(postgres: Postgres, url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """While the block lasts, or until it commits, nobody comes to the table."""
    async with await psycopg.AsyncConnection.connect(url) as other:
        await other.execute("LOCK TABLE things IN ACCESS EXCLUSIVE MODE")
        yield other


async def terminated(postgres: Postgres, url: str) -> None:
    """End the connection that waits for a lock, as soon as one does."""
    waiting = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(30):
        while postgres.execute(waiting, url) != [(1,)]:  # noqa: ASYNC110
            await asyncio.sleep(0)


def chain(error: BaseException | None) -> str:
    """All that an error and those behind it say."""
    told = ""
    while error is not None:
        told += f"{error!r} {error}"
        error = error.__cause__ or error.__context__
    return told


async def test_a_text_with_a_nul_is_refused(db: Database) -> None:
    with pytest.raises(StorageError) as caught:
        await db.batch([insert(1), insert(2, "be\x00fore")])
    assert "fore" not in chain(caught.value)
    assert await rows(db, "SELECT count(*) FROM things") == [(0,)]


async def test_it_is_backed_up_by_its_own_tools(db: Database, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="pg_dump"):
        await db.snapshot(tmp_path / "snapshot.db")
    assert not (tmp_path / "snapshot.db").exists()
    await db.reclaim()


@pytest.mark.parametrize(
    "sql", ["PRAGMA user_version", "ATTACH 'x' AS y", "COMMIT", "LISTEN x", "COPY x TO y"]
)
async def test_only_the_shared_language_is_spoken(db: Database, sql: str) -> None:
    with pytest.raises(StorageError, match="dialect"):
        await db.batch([insert(1), Statement(sql)])
    assert await rows(db, "SELECT count(*) FROM things") == [(0,)]


async def test_a_restart_is_noticed_before_anything_is_sent(mortal: Postgres, opened: Opens) -> None:
    db = await opened(mortal.fresh(migrated=False))
    await db.batch([TABLE])
    await asyncio.gather(*(db.batch([insert(n), insert(n)]) for n in range(8)))
    for how in ("fast", "immediate"):
        await asyncio.to_thread(mortal.stop, how)
        await asyncio.to_thread(mortal.start)
        await asyncio.gather(*(db.batch([insert(n)]) for n in range(8)))
    assert await rows(db, "SELECT count(*) FROM things") == [(32,)]


async def test_while_it_is_away_all_is_busy_and_then_goes_on(mortal: Postgres, opened: Opens) -> None:
    db = await opened(mortal.fresh(migrated=False), seconds=0.5)
    await db.batch([TABLE])
    await asyncio.to_thread(mortal.stop, "immediate")
    for tx in (True, False):
        with pytest.raises(DatabaseBusy):
            await db.batch([insert(1), Statement("SELECT 1")], tx)
    with pytest.raises(DatabaseBusy):
        await db.batch([Statement("SELECT n FROM things")])
    await asyncio.to_thread(mortal.start)
    async with asyncio.timeout(30):
        while True:
            try:
                await db.batch([insert(2)])
                break
            except DatabaseBusy:
                continue
    assert await rows(db, "SELECT n FROM things") == [(2,)]


@pytest.mark.parametrize("tx", [True, False])
async def test_what_only_reads_is_asked_again_when_its_connection_breaks(
    postgres: Postgres, db: Database, url: str, tx: bool
) -> None:
    await db.batch([insert(1), insert(2)])
    async with locked(postgres, url):
        read = [Statement("SELECT n FROM things ORDER BY n"), Statement("SELECT count(*) FROM things")]
        reading = asyncio.create_task(db.batch(read, tx))
        await terminated(postgres, url)
    assert [result.rows for result in await reading] == [[(1,), (2,)], [(2,)]]


@pytest.mark.parametrize("count", [1, 2])
async def test_of_a_write_whose_connection_broke_nothing_is_claimed(
    postgres: Postgres, db: Database, url: str, count: int
) -> None:
    async with locked(postgres, url):
        writing = asyncio.create_task(db.batch([insert(n) for n in range(count)]))
        await terminated(postgres, url)
        with pytest.raises(StorageError) as caught:
            await writing
    assert (caught.value.code, caught.value.detail) == ("unavailable", "the outcome of the commit is unknown")
    assert "server" not in chain(caught.value.__context__)
    await db.batch([insert(7)])
    assert await rows(db, "SELECT n FROM things") == [(7,)]


async def test_what_takes_too_long_leaves_nothing(postgres: Postgres, url: str, opened: Opens) -> None:
    db = await opened(url, seconds=0.2)
    await db.batch([TABLE])
    async with locked(postgres, url):
        for batch in ([insert(1)], [insert(1), insert(2)]):
            with pytest.raises(DatabaseBusy, match="QueryCanceled"):
                await db.batch(batch)
    assert await rows(db, "SELECT count(*) FROM things") == [(0,)]


async def test_who_waits_too_long_for_a_connection_is_told(
    postgres: Postgres, db: Database, url: str, opened: Opens
) -> None:
    impatient = await opened(url, seconds=0.3, most=1)
    async with locked(postgres, url) as other:
        done = await asyncio.gather(*(impatient.batch([insert(n)]) for n in range(4)), return_exceptions=True)
        assert all(isinstance(outcome, DatabaseBusy) for outcome in done)
        await other.commit()
    await impatient.batch([insert(9)])
    assert await rows(db, "SELECT n FROM things") == [(9,)]


async def test_each_connection_makes_sure_that_what_is_told_is_on_the_disk(
    postgres: Postgres, url: str, opened: Opens
) -> None:
    name = url.rpartition("/")[2]
    postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'read committed'")
    db = await opened(url)
    await db.batch([TABLE])
    asked = "SELECT current_setting('synchronous_commit'), current_setting('transaction_isolation')"
    assert await rows(db, asked) == [("on", "serializable")]
    assert (await db.batch([Statement(asked), insert(1)]))[0].rows == [("on", "serializable")]


@pytest.mark.parametrize(
    "where",
    ["postgresql://echolia:kanariya@127.0.0.1:1/nowhere", "postgresql://kanariya@127.0.0.1:{port}/nowhere"],
)
async def test_where_it_cannot_be_reached_one_error_says_so(postgres: Postgres, where: str) -> None:
    address = Address(where.format(port=postgres.port), 2)
    with pytest.raises(StorageError) as caught:
        await open_postgres_directory(address, [])
    assert caught.value.code == "directory_unreachable"
    assert "kanariya" not in chain(caught.value) + repr(address)


@pytest.mark.parametrize(
    "words", ["", "host=kanariya", "postgresql://kanariya:x:y@/?no=such", "https://kanariya/"]
)
async def test_what_is_no_address_is_not_repeated(words: str) -> None:
    with pytest.raises(EcholiaError) as caught:
        await open_postgres_directory(Address(words), [])
    assert caught.value.code == "settings_invalid"
    assert "kanariya" not in chain(caught.value)


async def test_a_database_of_another_encoding_is_refused(postgres: Postgres) -> None:
    postgres.execute("CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    with pytest.raises(StorageError, match="UTF8") as caught:
        await open_postgres_directory(Address(postgres.url("ascii")), [])
    assert caught.value.code == "directory_unreachable"
    postgres.drop(postgres.url("ascii"))


async def test_who_only_looks_leaves_it_as_it_is(url: str) -> None:
    steps = load_migrations("directory")
    for applied, code in (([], "storage_missing"), (steps[:-1], "migration_behind")):
        await (await open_postgres_directory(Address(url), applied)).close()
        with pytest.raises(StorageError) as caught:
            await open_postgres_directory(Address(url), steps, prepare=assert_current)
        assert caught.value.code == code
    await (await open_postgres_directory(Address(url), steps)).close()
    await (await open_postgres_directory(Address(url), steps, prepare=assert_current)).close()


async def test_several_that_start_at_once_migrate_it_once(postgres: Postgres, url: str) -> None:
    steps = load_migrations("directory")
    started = await asyncio.gather(*(open_postgres_directory(Address(url), steps, 2) for _ in range(6)))
    assert await rows(started[0], "SELECT count(*), max(version) FROM schema_migrations") == [
        (len(steps), len(steps))
    ]
    for db in started:
        await db.close()
    with pytest.raises(StorageError) as caught:
        await open_postgres_directory(Address(url), steps[:-1])
    assert caught.value.code == "migration_ahead"
    left = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    async with asyncio.timeout(30):
        while postgres.execute(left, url) != [(0,)]:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_whoever_is_cancelled_does_not_go_on_in_whatever_moment_that_is(
    url: str, opened: Opens
) -> None:
    """The pool waits by `wait_for`, which before Python 3.12 can keep a cancellation to itself."""
    db = await opened(url, most=1)
    asked = [Statement("SELECT 1")]
    for moment in range(20):
        only = await db._pool.getconn()
        waiting = asyncio.create_task(db.batch(asked, tx=False))
        for _ in range(10):
            await asyncio.sleep(0)
        await db._pool.putconn(only)
        for _ in range(moment):
            await asyncio.sleep(0)
        if waiting.cancel():
            await asyncio.wait([waiting])
            assert waiting.cancelled(), moment
    assert (await db.batch(asked, tx=False))[0].rows == [(1,)]
