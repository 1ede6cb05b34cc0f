"""Two accounts' data never meet, however their work is interleaved, cancelled and evicted."""

from __future__ import annotations

from pathlib import Path

import pytest

from echolia.storage.databases import UserDatabases
from echolia.storage.engine import Statement, StorageError
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
