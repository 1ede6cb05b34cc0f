"""The directory comes into being, is brought up to date, and is let go of where that fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from echolia.storage.directory import open_directory
from echolia.storage.engine import Statement, StorageError
from echolia.storage.migrate import Migration, assert_current
from echolia.storage.sqlite.driver import SqliteDriver

FIRST = Migration(1, "one", (Statement("CREATE TABLE devices (id BLOB PRIMARY KEY)"),))
SECOND = Migration(2, "two", (Statement("ALTER TABLE devices ADD COLUMN name TEXT"),))


async def test_it_is_made_and_migrated_and_kept(driver: SqliteDriver, tmp_path: Path) -> None:
    path = tmp_path / "data" / "directory.db"
    db = await open_directory(path, driver, [FIRST])
    await db.batch([Statement("INSERT INTO devices VALUES (x'01')")])
    await db.close()
    db = await open_directory(path, driver, [FIRST, SECOND])
    assert (await db.batch([Statement("SELECT * FROM devices")]))[0].rows == [(b"\x01", None)]
    await db.close()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_newer_directory_is_refused_and_closed(driver: SqliteDriver, tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    db = await open_directory(path, driver, [FIRST, SECOND])
    await db.close()
    with pytest.raises(StorageError) as caught:
        await open_directory(path, driver, [FIRST])
    assert caught.value.code == "migration_ahead"
    assert not path.with_name("directory.db-wal").exists()


async def test_who_only_looks_leaves_an_older_directory_as_it_is(
    driver: SqliteDriver, tmp_path: Path
) -> None:
    path = tmp_path / "directory.db"
    await (await open_directory(path, driver, [FIRST])).close()
    for steps, code in (([FIRST, SECOND], "migration_behind"), ([SECOND, FIRST], "migration_changed")):
        with pytest.raises(StorageError) as caught:
            await open_directory(path, driver, steps, assert_current)
        assert caught.value.code == code
    db = await open_directory(path, driver, [FIRST], assert_current)
    assert (await db.batch([Statement("SELECT * FROM devices")]))[0].rows == []
    await db.close()


async def test_who_only_looks_finds_no_directory_in_an_empty_database(
    driver: SqliteDriver, tmp_path: Path
) -> None:
    with pytest.raises(StorageError) as caught:
        await open_directory(tmp_path / "directory.db", driver, [FIRST], assert_current)
    assert caught.value.code == "storage_missing"
