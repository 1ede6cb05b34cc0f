"""Accounts' databases on a real sqld as the server uses them: leased, evicted, upgraded, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from echolia.storage.databases import UserDatabases
from echolia.storage.engine import DatabaseDamaged, DatabaseMissing, Statement, StorageError
from echolia.storage.hrana.names import Names
from echolia.storage.hrana.sqld import Sqld
from echolia.storage.migrate import load_migrations
from echolia.storage.registry import OneHome
from tests.storage.conftest import account_id, belongs_to, frames, put, run
from tests.support.sqld import SqldProcess
from tests.support.storm import Storm

pytestmark = pytest.mark.service

MIGRATIONS = load_migrations("user")


@pytest.fixture
def cell(service_binary: Callable[[str, str], str], tmp_path: Path) -> Iterator[SqldProcess]:
    """An sqld that holds fewer databases open than are in use."""
    process = SqldProcess(service_binary, tmp_path / "cell", active=4)
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def place(cell: SqldProcess) -> AsyncIterator[Sqld]:
    """Its provisioner."""
    place = cell.place(MIGRATIONS)
    yield place
    await place.close()


@pytest.fixture
async def databases(place: Sqld) -> AsyncIterator[UserDatabases]:
    """Six of them stay open at most."""
    databases = UserDatabases({"cell": place}, OneHome("cell"), MIGRATIONS, max_open=6, new_home="cell")
    yield databases
    await databases.close()


async def test_two_accounts_data_never_meet(databases: UserDatabases) -> None:
    accounts = [account_id(n) for n in range(16)]
    for account in accounts:
        await databases.create(account, [belongs_to(account)])
    storm = Storm(databases, accounts)
    await storm.blow(walkers=6, steps=30)
    assert databases.stats().evicted_total > 20
    for account in accounts:
        found = set(await frames(databases, account))
        assert found >= storm.written[account]
        assert all(storm.owner[mark] == account for mark in found)


async def test_another_accounts_database_is_noticed(databases: UserDatabases, place: Sqld) -> None:
    class Confused(Names):
        def of(self, account: bytes) -> str:
            return super().of(account_id(1))

    await databases.create(account_id(1), [belongs_to(account_id(1))])
    await databases.drop(account_id(1))
    place._names = Confused(place._names._key)
    with pytest.raises(DatabaseDamaged, match="another account's database"):
        async with databases.lease(account_id(2)):
            pass


async def test_what_is_no_accounts_database_is_noticed(databases: UserDatabases, place: Sqld) -> None:
    name = place._names.of(account_id(1))
    assert await place._admin.create(name)
    await place.database(name).batch([Statement("CREATE TABLE other (a)")])
    with pytest.raises(DatabaseDamaged, match="not an account's database"):
        async with databases.lease(account_id(1)):
            pass


async def test_an_older_database_is_upgraded_when_it_is_leased(cell: SqldProcess) -> None:
    async with AsyncExitStack() as stack:
        old, new = cell.place(MIGRATIONS[:1]), cell.place(MIGRATIONS)
        for place in (old, new):
            stack.push_async_callback(place.close)
        await old.create(account_id(1), [belongs_to(account_id(1))])
        databases = UserDatabases({"cell": new}, OneHome("cell"), MIGRATIONS, new_home="cell")
        stack.push_async_callback(databases.close)
        await put(databases, account_id(1), b"frame")
        assert await frames(databases, account_id(1)) == [b"frame"]


async def test_a_deletion_in_the_midst_of_writes_is_the_end(databases: UserDatabases) -> None:
    account, acknowledged = account_id(1), 0
    await databases.create(account, [belongs_to(account)])

    async def write(number: int) -> None:
        nonlocal acknowledged
        for n in range(20):
            async with databases.lease(account) as database:
                await database.batch([run(b"frame", number * 100 + n)])
            acknowledged += 1

    writing = [asyncio.create_task(write(number)) for number in range(4)]
    while not acknowledged:
        await asyncio.wait(writing, timeout=0.005)
    await databases.delete(account)
    outcomes = await asyncio.gather(*writing, return_exceptions=True)
    assert all(isinstance(outcome, DatabaseMissing) for outcome in outcomes)
    with pytest.raises(StorageError):
        await frames(databases, account)
    await databases.create(account, [belongs_to(account)])
    assert await frames(databases, account) == []
