"""A stopped server's databases, opened by the command itself."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from echolia.storage.databases import UserDatabases
from echolia.storage.directory import open_directory
from echolia.storage.engine import DatabaseMissing, FolderOwned
from echolia.storage.file_homes import Homes, files_alone
from echolia.storage.migrate import load_migrations
from echolia.storage.operating.opening import opened
from echolia.storage.operating.service import Operator
from echolia.storage.owner_lock import OwnerLock
from echolia.storage.registry import DirectoryRegistry
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.sync import epochs


@asynccontextmanager
async def operating(data: Path, homes: Homes = files_alone) -> AsyncIterator[Operator]:
    """An `Operator` on the data folder of a server that does not run.

    Raises: `storage_missing` (there is no server's data), `storage_owned`, `StorageError`.
    """
    if not (data / "directory.db").is_file():
        raise DatabaseMissing("no server has kept its data here")
    async with AsyncExitStack() as stack:
        try:
            lock = OwnerLock(data)
        except FolderOwned:
            raise FolderOwned("stop the server, then run this again") from None
        stack.callback(lock.release)
        driver = SqliteDriver(threads=2)
        stack.push_async_callback(driver.close)
        directory = await open_directory(data / "directory.db", driver, load_migrations("directory"))
        stack.push_async_callback(directory.close)
        migrations = load_migrations("user")
        registry = DirectoryRegistry(directory)
        databases = UserDatabases(homes(data, driver, migrations), registry, migrations, max_open=8)
        stack.push_async_callback(databases.close)
        operator = opened(
            data, databases, registry, directory, driver, _now_ms, epochs.begin_anew(secrets.token_bytes)
        )
        await operator.sweep()
        yield operator


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
