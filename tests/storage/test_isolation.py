"""Two accounts' data never meet, however their work is interleaved, cancelled and evicted."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import pytest

from echolia.storage.databases import UserDatabases
from echolia.storage.engine import (
    DatabaseDamaged,
    DatabaseExists,
    DatabaseMissing,
    Statement,
    StorageError,
)
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sqlite.user_files import user_path
from tests.storage.conftest import account_id, belongs_to, files, frames, put
from tests.support.storm import Storm


async def test_two_accounts_data_never_meet(databases: UserDatabases, tmp_path: Path) -> None:
    """Thirty neighbouring ids, three open at most, everything interleaved, cancelled, dropped."""
    accounts = [bytes(15) + bytes([n]) for n in range(15)] + [bytes([n]) + bytes(15) for n in range(1, 16)]
    for account in accounts:
        await databases.create(account, [belongs_to(account)])
    storm = Storm(databases, accounts)
    await storm.blow(walkers=12, steps=30)
    assert databases.stats().evicted_total > 50
    for account in accounts:
        found = set(await frames(databases, account))
        assert storm.written[account]
        assert found >= storm.written[account]
        assert all(storm.owner[mark] == account for mark in found)
    await databases.close()
    for account in accounts:  # and on the disk, by the bytes
        content = user_path(tmp_path / "users", account).read_bytes()
        for other in accounts:
            there = [mark in content for mark in storm.written[other]]
            assert all(there) if other == account else not any(there)


async def test_no_statement_reaches_another_accounts_file(databases: UserDatabases, tmp_path: Path) -> None:
    mine, theirs = account_id(1), account_id(2)
    for account in (mine, theirs):
        await databases.create(account, [belongs_to(account)])
    await put(databases, theirs, b"theirs")
    path = user_path(tmp_path / "users", theirs)
    async with databases.lease(mine) as database:
        for sql in (
            f"ATTACH '{path}' AS o",
            f"ATTACH 'file:{path}?mode=ro' AS o",
            f"VACUUM INTO '{path}.copy'",
        ):
            for tx in (True, False):
                with pytest.raises(StorageError):
                    await database.batch([Statement(sql), Statement("SELECT 1")], tx)
    assert not any(name.endswith(".copy") for name in files(tmp_path))
    assert await frames(databases, mine) == []


# --- names ---


@pytest.mark.parametrize(
    "account",
    [
        b"",
        b"short",
        b"x" * 15,
        b"x" * 17,
        b"x" * 32,
        b"../../../../etc/passwd",
        b"../" * 5,
        bytes(range(16)) + b"\n",
    ],
)
async def test_what_is_no_id_reaches_no_file(
    databases: UserDatabases, tmp_path: Path, account: bytes
) -> None:
    before = files(tmp_path)
    for attempt in (
        databases.create(account, [belongs_to(account_id(1))]),
        databases.delete(account),
        frames(databases, account),
        put(databases, account, b"x"),
    ):
        with pytest.raises(StorageError):
            await attempt
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    "account", [b"../../../etc/pas", b"a/b/c/d/e/f/g/h\0", b"\xff" * 16, b"\0" * 16, b"%2e%2e%2f%2e%2e%"]
)
async def test_whatever_bytes_an_id_has_its_file_lies_in_the_folder(
    databases: UserDatabases, tmp_path: Path, account: bytes
) -> None:
    assert len(account) == 16
    await databases.create(account, [belongs_to(account)])
    await put(databases, account, b"mine")
    await databases.drop(account)
    assert files(tmp_path) == {f"users/{account.hex()[:2]}/{account.hex()}.db"}
    assert await frames(databases, account) == [b"mine"]


# --- whose a database is ---


async def test_a_file_under_another_s_name_is_refused_both_ways(
    databases: UserDatabases, tmp_path: Path
) -> None:
    one, other = account_id(1), account_id(2)
    for account in (one, other):
        await databases.create(account, [belongs_to(account)])
        await put(databases, account, b"of %d" % account[1])
        await databases.drop(account)
    paths = [user_path(tmp_path / "users", account) for account in (one, other)]
    paths[0].rename(tmp_path / "aside")
    paths[1].rename(paths[0])
    (tmp_path / "aside").rename(paths[1])
    for account in (one, other):
        for attempt in (frames(databases, account), put(databases, account, b"no")):
            with pytest.raises(DatabaseDamaged):
                await attempt
    assert databases.open_count == 0
    paths[0].rename(tmp_path / "aside")
    paths[1].rename(paths[0])
    (tmp_path / "aside").rename(paths[1])
    assert await frames(databases, one) == [b"of 1"]
    assert await frames(databases, other) == [b"of 2"]


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM account", "UPDATE account SET account = zeroblob(16)", "DROP TABLE account"],
)
async def test_one_that_does_not_say_whose_it_is_is_nobody_s(
    databases: UserDatabases, tmp_path: Path, driver: SqliteDriver, statement: str
) -> None:
    account = account_id(1)
    await databases.create(account, [belongs_to(account)])
    db = await driver.open(user_path(tmp_path / "users", account))
    await db.batch([Statement(statement)])
    await db.close()
    with pytest.raises(DatabaseDamaged):
        await frames(databases, account)


async def test_each_lease_asserts_whose_database_it_is(databases: UserDatabases) -> None:
    mine, theirs = account_id(1), account_id(2)
    await databases.create(mine, [belongs_to(mine)])
    async with databases.lease(mine) as database:
        # As a defect would do it that hands one account's database to another.
        database.account = theirs
    with pytest.raises(DatabaseDamaged):
        async with databases.lease(mine):
            raise AssertionError("it is handed out")
    assert databases.stats().leased == 0


# --- storms ---


async def test_deletions_and_cancellations_amid_writes_leave_no_foreign_byte(
    databases: UserDatabases, tmp_path: Path
) -> None:
    """Six accounts, three open at most; half of them are deleted and made again while everybody writes."""
    dice = random.Random(5)
    accounts = [account_id(n) for n in range(1, 7)]
    for account in accounts:
        await databases.create(account, [belongs_to(account)])

    async def write(account: bytes, n: int) -> None:
        try:
            await put(databases, account, account + n.to_bytes(4, "big"), n)
        except DatabaseMissing:
            return  # deleted just now

    async def walk(number: int) -> None:
        for n in range(40):
            account = dice.choice(accounts)
            task = asyncio.create_task(write(account, number * 1000 + n))
            if dice.random() < 0.3:
                for _ in range(dice.randrange(15)):
                    await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait({task})
            if account in accounts[:3] and dice.random() < 0.1:
                await databases.delete(account)
                with suppress(DatabaseExists):
                    await databases.create(account, [belongs_to(account)])

    await asyncio.wait_for(asyncio.gather(*(walk(number) for number in range(8))), 120)
    assert databases.stats().deleted_total > 3
    for account in accounts:
        there = await frames(databases, account)
        assert all(bytes(frame).startswith(account) for frame in there)  # type: ignore[arg-type]
    await databases.close()
    for account in accounts:
        content = user_path(tmp_path / "users", account).read_bytes()
        assert not [other for other in accounts if other != account and other in content]


async def test_a_write_under_way_is_whole_or_refused_when_its_account_is_deleted(
    databases: UserDatabases, tmp_path: Path
) -> None:
    account = account_id(1)
    for ticks in range(0, 60, 3):
        await databases.create(account, [belongs_to(account)])
        writing = asyncio.create_task(put(databases, account, b"canary" * 100))
        for _ in range(ticks):
            await asyncio.sleep(0)
        await databases.delete(account)
        (outcome,) = await asyncio.gather(writing, return_exceptions=True)
        assert outcome is None or isinstance(outcome, DatabaseMissing)
        assert files(tmp_path) == set(), "a write came after the end, or made the file again"
