"""One file per account: creation, deletion, migration, and that two accounts' data never meet."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import pytest

from echolia.storage.databases import UserDatabases
from echolia.storage.engine import (
    ConstraintViolated,
    Database,
    DatabaseDamaged,
    DatabaseExists,
    DatabaseMissing,
    Statement,
    StorageError,
    StorageFull,
)
from echolia.storage.migrate import load_migrations
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sqlite.user_files import user_path
from tests.storage.conftest import account_id, belongs_to, files, frames, put, run
from tests.support.file_databases import file_databases


async def test_a_created_database_can_be_leased(databases: UserDatabases, tmp_path: Path) -> None:
    account = bytes.fromhex("ab" * 16)
    await databases.create(account, [belongs_to(account, epoch=99)])
    assert files(tmp_path) == {f"users/ab/{'ab' * 16}.db"}
    async with databases.lease(account) as database:
        assert database.account == account
        assert (await database.batch([Statement("SELECT * FROM account")]))[0].rows == [(1, account, 99, 0)]
    assert databases.open_count == 1


async def test_the_folders_are_private(databases: UserDatabases, tmp_path: Path) -> None:
    await databases.create(account_id(1), [belongs_to(account_id(1))])
    assert {
        folder.stat().st_mode & 0o777 for folder in (tmp_path / "users").rglob("*") if folder.is_dir()
    } == {0o700}


async def test_creating_twice_is_refused_and_keeps_the_first(databases: UserDatabases) -> None:
    account = account_id(1)
    outcomes = await asyncio.gather(
        *(databases.create(account, [belongs_to(account, epoch)]) for epoch in range(5)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes].count(DatabaseExists) == 4
    await put(databases, account, b"kept")
    with pytest.raises(DatabaseExists) as caught:
        await databases.create(account, [belongs_to(account)])
    assert caught.value.code == "storage_exists"
    assert await frames(databases, account) == [b"kept"]


@pytest.mark.parametrize(
    "statements",
    [
        [],
        [belongs_to(account_id(2))],
        [belongs_to(account_id(1)), belongs_to(account_id(1))],
        [Statement("nonsense")],
    ],
    ids=["nobody's", "another's", "twice", "failing"],
)
async def test_a_failed_creation_leaves_nothing(
    databases: UserDatabases, tmp_path: Path, statements: Sequence[Statement]
) -> None:
    with pytest.raises(StorageError):
        await databases.create(account_id(1), statements)
    assert files(tmp_path) == set()
    with pytest.raises(DatabaseMissing):
        await frames(databases, account_id(1))
    await databases.create(account_id(1), [belongs_to(account_id(1))])


async def test_a_database_without_its_owner_is_a_broken_constraint(databases: UserDatabases) -> None:
    with pytest.raises(ConstraintViolated):
        await databases.create(account_id(1))


async def test_leasing_never_creates(databases: UserDatabases, tmp_path: Path) -> None:
    with pytest.raises(DatabaseMissing):
        await frames(databases, account_id(1))
    (tmp_path / "users" / account_id(2).hex()[:2]).mkdir(parents=True)
    with pytest.raises(DatabaseMissing):
        await frames(databases, account_id(2))
    assert files(tmp_path) == set()
    assert databases.open_count == 0


@pytest.mark.parametrize("account", [b"", b"short", b"x" * 17, b"../../../../etc/"[:15]])
async def test_an_account_id_has_16_bytes(databases: UserDatabases, account: bytes) -> None:
    for attempt in (databases.create(account), databases.delete(account), frames(databases, account)):
        with pytest.raises(StorageError):
            await attempt


async def test_deletion_leaves_no_byte_and_no_way_back(databases: UserDatabases, tmp_path: Path) -> None:
    account = account_id(1)
    await databases.create(account, [belongs_to(account)])
    await put(databases, account, b"canary" * 100)
    await databases.delete(account)
    assert files(tmp_path) == set()
    with pytest.raises(DatabaseMissing):
        await put(databases, account, b"again")
    assert files(tmp_path) == set()
    await databases.delete(account)
    await databases.delete(account_id(2))
    assert databases.open_count == 0


async def test_deletion_waits_for_a_write_and_refuses_the_next(
    databases: UserDatabases, tmp_path: Path
) -> None:
    account = account_id(1)
    await databases.create(account, [belongs_to(account)])
    async with databases.lease(account) as database:
        writing = asyncio.create_task(database.batch([run(bytes(1_000_000), n) for n in range(20)]))
        await asyncio.sleep(0)
        deleting = asyncio.create_task(databases.delete(account))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(DatabaseMissing):
            await put(databases, account, b"late")
        assert len(await asyncio.wait_for(writing, 30)) == 20
        assert not deleting.done()
        assert files(tmp_path)
    await asyncio.wait_for(deleting, 30)
    assert files(tmp_path) == set()


async def test_deletion_goes_on_though_its_caller_is_cancelled(
    databases: UserDatabases, tmp_path: Path
) -> None:
    account = account_id(1)
    await databases.create(account, [belongs_to(account)])
    async with databases.lease(account):
        deleting = asyncio.create_task(databases.delete(account))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        deleting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deleting
    await databases.close()  # waits for what was begun
    assert files(tmp_path) == set()


async def test_an_account_can_come_again_and_finds_nothing_of_before(databases: UserDatabases) -> None:
    account = account_id(1)
    for life in range(5):
        await databases.create(account, [belongs_to(account, life)])
        assert await frames(databases, account) == []
        await put(databases, account, b"life %d" % life)
        await asyncio.gather(databases.delete(account), databases.delete(account))


async def test_a_log_left_by_a_crash_is_not_replayed_into_a_new_database(
    databases: UserDatabases, tmp_path: Path
) -> None:
    account = account_id(1)
    path = user_path(tmp_path / "users", account)
    await databases.create(account, [belongs_to(account)])
    async with databases.lease(account) as database:
        await database.batch([run(b"of the former life")])
        shutil.copy(path.with_name(path.name + "-wal"), tmp_path / "former-wal")
    await databases.delete(account)
    shutil.copy(tmp_path / "former-wal", path.with_name(path.name + "-wal"))
    await databases.create(account, [belongs_to(account)])
    assert await frames(databases, account) == []


async def test_another_accounts_file_is_refused(databases: UserDatabases, tmp_path: Path) -> None:
    mine, theirs = account_id(1), account_id(2)
    for account in (mine, theirs):
        await databases.create(account, [belongs_to(account)])
    await put(databases, theirs, b"theirs")
    await databases.drop(theirs)
    shutil.copy(user_path(tmp_path / "users", theirs), user_path(tmp_path / "users", mine))
    for _ in range(2):
        with pytest.raises(DatabaseDamaged) as caught:
            await frames(databases, mine)
        assert caught.value.code == "storage_damaged"
        assert theirs.hex() not in str(caught.value)
    assert databases.open_count == 0


async def test_what_is_refused_at_opening_is_closed_again(tmp_path: Path) -> None:
    class WatchedDriver(SqliteDriver):
        """A driver that keeps what it opened, so that nothing is closed by being forgotten."""

        opened: ClassVar[list[Database]] = []

        async def open(self, path: Path, create: bool = False, *, cache_kib: int | None = None) -> Database:
            self.opened.append(await super().open(path, create, cache_kib=cache_kib))
            return self.opened[-1]

    driver = WatchedDriver(threads=1)
    databases = file_databases(tmp_path / "users", driver)
    path = user_path(tmp_path / "users", account_id(1))
    await databases.create(account_id(2), [belongs_to(account_id(2))])
    await databases.create(account_id(1), [belongs_to(account_id(1))])
    shutil.copy(user_path(tmp_path / "users", account_id(2)), path)
    with pytest.raises(DatabaseDamaged):
        await frames(databases, account_id(1))
    with pytest.raises(StorageError, match="closed"):
        await driver.opened[-1].batch([Statement("SELECT 1")])
    await databases.close()
    await driver.close()


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000])
async def test_a_file_that_is_no_accounts_database_is_damaged(
    databases: UserDatabases, tmp_path: Path, content: bytes
) -> None:
    path = user_path(tmp_path / "users", account_id(1))
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(DatabaseDamaged):
        await frames(databases, account_id(1))


async def test_new_databases_have_all_migrations(databases: UserDatabases, tmp_path: Path) -> None:
    await databases.create(account_id(1), [belongs_to(account_id(1))])
    async with databases.lease(account_id(1)) as database:
        applied = (await database.batch([Statement("SELECT version, checksum FROM schema_migrations")]))[
            0
        ].rows
    assert applied == [(step.version, step.checksum) for step in load_migrations("user")]


async def test_stats_count(databases: UserDatabases) -> None:
    for number in range(5):
        await databases.create(account_id(number), [belongs_to(account_id(number))])
        await put(databases, account_id(number), sha256(bytes([number])).digest())
    async with databases.lease(account_id(4)):
        stats = databases.stats()
        assert (stats.leased, stats.created_total, stats.opened_total, stats.evicted_total) == (1, 5, 5, 2)
        assert stats.open >= 3
    await databases.delete(account_id(4))
    assert databases.stats().deleted_total == 1


async def test_closed_refuses_everything_after_what_was_begun(
    databases: UserDatabases, tmp_path: Path
) -> None:
    creating = [
        asyncio.create_task(databases.create(account_id(n), [belongs_to(account_id(n))])) for n in range(5)
    ]
    await asyncio.sleep(0)
    await asyncio.wait_for(databases.close(), 30)
    assert len(files(tmp_path)) == 5
    assert await asyncio.gather(*creating) == [None] * 5
    for attempt in (
        databases.create(account_id(9)),
        databases.delete(account_id(1)),
        frames(databases, account_id(1)),
    ):
        with pytest.raises(StorageError):
            await attempt


async def test_a_full_disk_at_creation_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    class FullDriver(SqliteDriver):
        """A driver whose disk takes only half of a copy."""

        full = True

        async def copy(self, template: bytes, path: Path, statements: Sequence[Statement]) -> None:
            if self.full:
                await self.run(lambda: path.write_bytes(template[: len(template) // 2]))
                raise StorageFull("ENOSPC")
            await super().copy(template, path, statements)

    driver = FullDriver(threads=1)
    databases = file_databases(tmp_path / "users", driver)
    with pytest.raises(StorageFull):
        await databases.create(account_id(1), [belongs_to(account_id(1))])
    assert files(tmp_path) == set()
    driver.full = False
    await databases.create(account_id(1), [belongs_to(account_id(1))])
    await databases.close()
    await driver.close()
