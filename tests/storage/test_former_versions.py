"""What each earlier version left is upgraded by this one: nothing is lost, and it is like a new one after."""

from __future__ import annotations

from pathlib import Path

import pytest

from echolia.storage.directory import open_directory
from echolia.storage.migrate import load_migrations
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sqlite.user_files import user_path
from tests.fixtures.story import NAME
from tests.storage.conftest import account_id, belongs_to
from tests.support import former
from tests.support.accounts import Account
from tests.support.file_databases import file_databases

FORMER = [(kind, version) for kind in former.KINDS for version in former.versions(kind)]


async def opened(kind: former.Kind, folder: Path, account: bytes, driver: SqliteDriver) -> Path:
    """Open the database in this folder, or a new one, as the server does, and close it again."""
    if kind == "directory":
        path = folder / "directory.db"
        await (await open_directory(path, driver, load_migrations(kind))).close()
        return path
    databases = file_databases(folder, driver)
    if not user_path(folder, account).exists():
        await databases.create(account, [belongs_to(account)])
    async with databases.lease(account):
        pass
    await databases.close()
    return user_path(folder, account)


@pytest.mark.parametrize(("kind", "version"), FORMER)
async def test_it_is_upgraded_with_all_that_is_in_it(
    kind: former.Kind, version: int, driver: SqliteDriver, tmp_path: Path
) -> None:
    anna = Account(NAME).id
    old = former.make(kind, version, tmp_path / "kept.db")
    path = user_path(tmp_path, anna) if kind == "user" else tmp_path / "directory.db"
    former.make(kind, version, path)
    assert await opened(kind, tmp_path, anna, driver) == path
    assert former.faults(path) == []
    before = former.rows(old)
    assert sum(map(len, before.values())) > 5
    assert former.rows(path, former.columns(old)) == before
    new = await opened(kind, tmp_path / "new", account_id(1), driver)
    assert former.schema(path) == former.schema(new)
    assert former.columns(path) == former.columns(new)


@pytest.mark.parametrize("kind", former.KINDS)
def test_something_was_kept_in_each_table(kind: former.Kind, tmp_path: Path) -> None:
    newest = former.versions(kind)[-1]
    empty = {
        name for name, found in former.rows(former.make(kind, newest, tmp_path / "a.db")).items() if not found
    }
    # Notices are read at once and live for a minute; the others came after it, or with what nobody did here:
    # one process alone owns no slots, one machine has agreed with nobody, and no model was asked.
    nobody = {"slots", "workers", "agreed", "llm_usage", "llm_leases"}
    assert empty <= {"live_notices", "migration_sweep", "data_keys", *nobody}
