"""Accounts' databases on a real sqld as the server uses them: leased, evicted, upgraded, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from echolia.storage.databases import UserDatabases
from echolia.storage.engine import (
    ConstraintViolated,
    DatabaseDamaged,
    DatabaseMissing,
    Statement,
    StorageError,
)
from echolia.storage.hrana.names import Names
from echolia.storage.hrana.sqld import Sqld
from echolia.storage.migrate import load_migrations
from echolia.storage.registry import UNFINISHED, DirectoryRegistry, OneHome
from tests.contracts.registry import sqlite_directory
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


async def test_what_a_creation_left_is_found_without_a_list(cell: SqldProcess, tmp_path: Path) -> None:
    anna, bert, carl = (account_id(n) for n in (1, 2, 3))
    async with AsyncExitStack() as stack:
        directory = await stack.enter_async_context(sqlite_directory(tmp_path))
        registry, place = DirectoryRegistry(directory), cell.place(MIGRATIONS)
        stack.push_async_callback(place.close)
        databases = UserDatabases({"cell": place}, registry, MIGRATIONS, new_home="cell")
        stack.push_async_callback(databases.close)
        await databases.create(anna, [belongs_to(anna)])
        # Of Bert's a crash left the namespace and nothing in it, of Carl's all but that it is said.
        assert await place._admin.create(place._names.of(bert))
        await place.create(carl, [belongs_to(carl)])
        for account in (bert, carl):
            await registry.put(account, "cell", UNFINISHED)
        cell.kill()
        assert await databases.sweep() == 0, "it is away: the server starts all the same"
        cell.start()
        assert await databases.sweep() == 1
        assert await databases.sweep() == 0
        with pytest.raises(DatabaseMissing):
            await registry.place(bert)
        assert await place._admin.create(place._names.of(bert)), "it was there no more"
        assert (await registry.place(carl)).version == 0
        for account in (anna, carl):
            assert await frames(databases, account) == []


async def test_a_creation_that_the_place_did_not_end_is_remembered(cell: SqldProcess, tmp_path: Path) -> None:
    account = account_id(1)
    async with AsyncExitStack() as stack:
        directory = await stack.enter_async_context(sqlite_directory(tmp_path))
        registry, place = DirectoryRegistry(directory), cell.place(MIGRATIONS)
        stack.push_async_callback(place.close)
        databases = UserDatabases({"cell": place}, registry, MIGRATIONS, new_home="cell")
        stack.push_async_callback(databases.close)
        with pytest.raises(ConstraintViolated):
            await databases.create(account)
        assert await registry.unfinished() == {}
        cell.kill()
        with pytest.raises(StorageError):
            await databases.create(account, [belongs_to(account)])
        assert await registry.unfinished() == {account: "cell"}
        cell.start()
        await databases.create(account, [belongs_to(account)])
        assert await registry.unfinished() == {}
        assert (await registry.place(account)).version == len(MIGRATIONS)


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
