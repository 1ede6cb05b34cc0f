"""A stopped server's databases, opened by the command itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from echolia.data_folder import directory_of, nobody_else, open_databases, operator_of
from echolia.settings import Settings
from echolia.storage.directory import FILE
from echolia.storage.engine import DatabaseMissing, FolderOwned
from echolia.storage.file_homes import Homes, files_alone
from echolia.storage.operating.service import Operator
from echolia.storage.owner_lock import OwnerLock
from echolia.storage.reserve import Reserve
from echolia.storage.sqlite.driver import SqliteDriver


@asynccontextmanager
async def operating(data: Path, homes: Homes = files_alone) -> AsyncIterator[Operator]:
    """An `Operator` on the data folder of a server that does not run.

    Raises: `storage_missing` (there is no server's data), `storage_owned`, `machines_serve`, `StorageError`.
    """
    if not Settings().directory_url and not (data / FILE).is_file():
        raise DatabaseMissing("no server has kept its data here")
    async with AsyncExitStack() as stack:
        try:
            lock = OwnerLock(data)
        except FolderOwned:
            raise FolderOwned("its server does not answer; stop it, then run this again") from None
        stack.callback(lock.release)
        driver = SqliteDriver(threads=2)
        stack.push_async_callback(driver.close)
        settings, reserve = Settings(data=data), Reserve(data)
        directory = await directory_of(settings, driver, reserve)
        stack.push_async_callback(directory.close)
        await nobody_else(settings, directory)
        databases = await stack.enter_async_context(
            open_databases(settings, driver, directory, reserve, homes)
        )
        operator = operator_of(settings, databases, directory, driver)
        await operator.sweep()
        yield operator
