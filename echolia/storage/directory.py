"""The directory: the one database that all accounts share (who exists, which devices, which registries)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from echolia.storage.engine import Database, Driver
from echolia.storage.migrate import Migration, migrate

# Every sign-in and token reads it, for all accounts, so it is worth more memory than one account's database.
CACHE_KIB: Final = 8192
FILE: Final = "directory.db"
# What is done to a directory's schema when it is opened: `migrate` or `assert_current`.
Prepare = Callable[[Database, Sequence[Migration]], Awaitable[object]]


async def open_directory(
    path: Path, driver: Driver, migrations: Sequence[Migration], prepare: Prepare = migrate
) -> Database:
    """Open the directory at `path`, made if it is not there, and bring it to the last migration.

    Raises: as `Driver.open` and `prepare`; the database is closed again then.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    db = await driver.open(path, create=True, cache_kib=CACHE_KIB)
    try:
        await prepare(db, migrations)
    except BaseException:
        await db.close()
        raise
    return db
