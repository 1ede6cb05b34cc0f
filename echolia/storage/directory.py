"""The directory: the one database that all accounts share (who exists, which devices, which registries)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from echolia.settings import Settings
from echolia.storage.engine import Database, Driver, StorageError
from echolia.storage.migrate import Migration, load_migrations, migrate

# Every sign-in and token reads it, for all accounts, so it is worth more memory than one account's database.
CACHE_KIB: Final = 8192
FILE: Final = "directory.db"


async def open_directory(path: Path, driver: Driver, migrations: Sequence[Migration]) -> Database:
    """Open the directory at `path`, made if it is not there, and bring it to the last migration.

    Raises: as `Driver.open` and `migrate`; the database is closed again then.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    db = await driver.open(path, create=True, cache_kib=CACHE_KIB)
    try:
        await migrate(db, migrations)
    except BaseException:
        await db.close()
        raise
    return db


async def open_elsewhere(settings: Settings) -> Database:
    """Open the directory in the PostgreSQL of the settings, and bring it to the last migration.

    Raises: `directory_elsewhere` where there is one in the data folder too, `directory_unreachable`,
    `settings_invalid`, as `migrate`.
    """
    # Who has one would pay for it.
    from echolia.storage.postgres.connections import Address  # noqa: PLC0415
    from echolia.storage.postgres.directory import open_postgres_directory  # noqa: PLC0415

    # Served without its accounts, every device would take the server for one that has lost them.
    if (settings.data / FILE).exists():
        raise StorageError(code="directory_elsewhere")
    address = Address(settings.directory_url, settings.directory_seconds)
    return await open_postgres_directory(
        address, load_migrations("directory"), settings.directory_connections
    )
