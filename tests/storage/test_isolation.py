"""Two accounts' data never meet, however their work is interleaved, cancelled and evicted."""

from __future__ import annotations

import asyncio
import random
from hashlib import sha256
from pathlib import Path

import pytest

from echolia.storage.databases import UserDatabases
from echolia.storage.engine import Statement, StorageError
from echolia.storage.sqlite.user_files import user_path
from tests.storage.conftest import account_id, belongs_to, files, frames, put, run


async def test_two_accounts_data_never_meet(databases: UserDatabases, tmp_path: Path) -> None:
    """Thirty neighbouring ids, three open at most, everything interleaved, cancelled, dropped."""
    dice = random.Random(16)
    accounts = [bytes(15) + bytes([n]) for n in range(15)] + [bytes([n]) + bytes(15) for n in range(1, 16)]
    for account in accounts:
        await databases.create(account, [belongs_to(account)])
    written: dict[bytes, set[bytes]] = {account: set() for account in accounts}
    owner: dict[object, bytes] = {}  # of every mark that was ever to be written

    async def write(account: bytes, n: int) -> None:
        mark = sha256(account + n.to_bytes(2, "big")).digest()
        owner[mark] = account
        async with databases.lease(account) as database:
            database.memory[str(n)] = mark
            await asyncio.sleep(0)
            assert all(owner[kept] == account for kept in database.memory.values())
            await database.batch([run(mark, n, device=mark)])
            written[account].add(mark)

    async def walk(number: int) -> None:
        for n in range(30):
            account = dice.choice(accounts)
            task = asyncio.create_task(write(account, number * 100 + n))
            if dice.random() < 0.3:
                for _ in range(dice.randrange(12)):
                    await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()
            if dice.random() < 0.05:
                await databases.drop(dice.choice(accounts))

    await asyncio.wait_for(asyncio.gather(*(walk(number) for number in range(12))), 120)
    assert databases.stats().evicted_total > 50
    for account in accounts:
        found = set(await frames(databases, account))
        assert written[account]
        assert found >= written[account]
        assert all(owner[mark] == account for mark in found)
    await databases.close()
    for account in accounts:  # and on the disk, by the bytes
        content = user_path(tmp_path / "users", account).read_bytes()
        for other in accounts:
            there = [mark in content for mark in written[other]]
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
