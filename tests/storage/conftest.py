"""A driver, a folder of accounts' databases, and how an account begins, for the tests of the storage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from echolia.storage import copying
from echolia.storage.databases import UserDatabases
from echolia.storage.engine import Statement, Value
from echolia.storage.migrate import load_migrations
from echolia.storage.sqlite.driver import SqliteDriver
from tests.support.file_databases import file_databases
from tests.support.two_places import PLACES, Process, two_places


def account_id(number: int) -> bytes:
    """The 16-byte id of the numbered account."""
    return number.to_bytes(2, "big") * 8


def belongs_to(account: bytes, epoch: int = 7) -> Statement:
    """The row that says whose a database is."""
    return Statement("INSERT INTO account (one, account, epoch) VALUES (1, ?, ?)", (account, epoch))


ANNA, BEN = account_id(1), account_id(2)
# So large that a page holds three of them.
LARGE = 300_000
TABLES = copying.tables_of(load_migrations("user"))
FRAMES: Final = "SELECT frame FROM runs ORDER BY seq"


def run(frame: bytes, last: int = 1, device: bytes = b"device") -> Statement:
    """A statement that stores a run."""
    return Statement(
        "INSERT INTO runs (changes, device, last, chain, received_ms, log, total_bytes, frame)"
        " VALUES (1, ?, ?, x'', 0, x'', 0, ?)",
        (device, last, frame),
    )


async def put(databases: UserDatabases, account: bytes, frame: bytes, last: int = 1) -> None:
    """Lease the account's database and store a run."""
    async with databases.lease(account) as database:
        await database.batch([run(frame, last)])


async def frames(databases: UserDatabases, account: bytes) -> list[Value]:
    """All runs of the account."""
    async with databases.lease(account) as database:
        return [frame for (frame,) in (await database.batch([Statement(FRAMES)]))[0].rows]


def files(folder: Path) -> set[str]:
    """The names of all files below a folder."""
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
async def driver() -> AsyncIterator[SqliteDriver]:
    """A driver of four threads that does not wait long for foreign locks."""
    driver = SqliteDriver(threads=4, busy_ms=1)
    yield driver
    await driver.close()


@pytest.fixture
async def databases(tmp_path: Path, driver: SqliteDriver) -> AsyncIterator[UserDatabases]:
    """The accounts' databases under `tmp_path / "users"`, three of them open at most."""
    databases = file_databases(tmp_path / "users", driver, max_open=3)
    yield databases
    await databases.close()


async def begin(process: Process, account: bytes = ANNA, runs: int = 7) -> None:
    """An account with some runs and something in every other table."""
    await process.databases.create(account, [belongs_to(account)])
    for n in range(1, runs + 1):
        await put(process.databases, account, b"%d" % n + bytes(LARGE), n)
    async with process.databases.lease(account) as db:
        await db.batch(
            [
                Statement("INSERT INTO acks VALUES (?, 7, 3, x'01', x'02', 5)", (b"device",)),
                Statement("INSERT INTO checkpoints VALUES (3, x'01', x'02', x'03', x'', 4)"),
                Statement("INSERT INTO base VALUES (1, 3, 3, 100, 0)"),
            ]
        )


async def state(process: Process, account: bytes = ANNA) -> copying.State:
    """All that the served database holds."""
    async with process.databases.lease(account) as db:
        return await copying.state_of(db, TABLES)


@pytest.fixture(params=list(PLACES))
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of place that the other one can be."""
    return str(request.param)


@pytest.fixture
async def process(tmp_path: Path, kind: str) -> AsyncIterator[Process]:
    """A process with an account in its first place."""
    async with two_places(tmp_path, kind) as process:
        await begin(process)
        yield process
