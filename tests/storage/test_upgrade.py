"""Old databases are upgraded when they are leased; one that cannot be harms no other."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from echolia.storage.engine import Statement, StorageError
from echolia.storage.migrate import load_migrations, read_migrations
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sqlite.user_files import user_path
from tests.storage.conftest import FRAMES, account_id, belongs_to, frames, put
from tests.support.file_databases import file_databases


def migrations_folder(folder: Path, *further: str) -> Path:
    """The released user migrations and further ones, in a folder of their own."""
    folder.mkdir()
    steps = [step.statements for step in load_migrations("user")]
    for number, statements in enumerate(steps, start=1):
        (folder / f"{number:04}_released.sql").write_text(
            "\n".join(statement.sql for statement in statements)
        )
    for number, sql in enumerate(further, start=len(steps) + 1):
        (folder / f"{number:04}_further.sql").write_text(sql)
    return folder


async def test_an_old_database_is_upgraded_at_its_first_lease(driver: SqliteDriver, tmp_path: Path) -> None:
    users, account = tmp_path / "users", account_id(1)
    old = file_databases(users, driver, read_migrations(migrations_folder(tmp_path / "old")))
    await old.create(account, [belongs_to(account)])
    await put(old, account, b"of old")
    await old.close()
    newer = migrations_folder(
        tmp_path / "new",
        "ALTER TABLE acks ADD COLUMN note TEXT;",
        "CREATE TABLE later (a);\nDROP TABLE later;",
    )
    new = file_databases(users, driver, read_migrations(newer))
    assert await asyncio.gather(*(frames(new, account) for _ in range(5))) == [[b"of old"]] * 5
    async with new.lease(account) as database:
        [columns, versions] = await database.batch(
            [
                Statement("SELECT name FROM pragma_table_info('acks')"),
                Statement("SELECT max(version) FROM schema_migrations"),
            ]
        )
        assert ("note",) in columns.rows
        assert versions.rows == [(len(read_migrations(newer)),)]
    await new.close()
    with pytest.raises(StorageError) as caught:
        await frames(file_databases(users, driver, read_migrations(tmp_path / "old")), account)
    assert caught.value.code == "migration_ahead"


async def test_a_failed_upgrade_harms_one_account_and_leaves_it_whole(
    driver: SqliteDriver, tmp_path: Path
) -> None:
    users, sound, odd = tmp_path / "users", account_id(1), account_id(2)
    old = file_databases(users, driver, read_migrations(migrations_folder(tmp_path / "old")))
    for account in (sound, odd):
        await old.create(account, [belongs_to(account)])
        await put(old, account, b"kept")
    async with old.lease(odd) as database:
        await database.batch([Statement("CREATE TABLE surprise (a)")])
    await old.close()
    newer = read_migrations(
        migrations_folder(tmp_path / "new", "CREATE TABLE fine (a);\nCREATE TABLE surprise (a);")
    )
    new = file_databases(users, driver, newer)
    assert await frames(new, sound) == [b"kept"]
    with pytest.raises(StorageError):
        await frames(new, odd)
    await new.close()
    with sqlite3.connect(user_path(users, odd)) as raw:
        assert raw.execute("SELECT name FROM sqlite_schema WHERE name = 'fine'").fetchall() == []
        assert raw.execute(FRAMES).fetchall() == [(b"kept",)]
    raw.close()
