"""Accounts' databases as files of a folder: copied from a template, removed by their name first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from echolia.storage.engine import Database, FileDriver, Statement, StorageError
from echolia.storage.migrate import Migration
from echolia.storage.provisioner import Usage
from echolia.storage.sqlite import user_files
from echolia.storage.sqlite.template import Template


class Files:
    """A `Provisioner`: the files `folder/ab/abcdef….db`, which no other process touches."""

    def __init__(self, folder: Path, driver: FileDriver, migrations: Sequence[Migration]) -> None:
        self._folder = folder
        self._driver = driver
        self._template = Template(folder, driver, migrations)

    async def open(self, account: bytes) -> Database:
        """See `Provisioner.open`."""
        return await self._driver.open(user_files.user_path(self._folder, account))

    async def create(self, account: bytes, statements: Sequence[Statement] = ()) -> None:
        """See `Provisioner.create`."""
        template = await self._template.content()
        path = user_files.user_path(self._folder, account)
        new = await self._driver.run(lambda: user_files.prepare(path))
        try:
            await self._driver.copy(template, new, statements)
        except StorageError:
            await self._driver.run(lambda: user_files.clear_remains(path))
            raise
        await self._driver.run(lambda: user_files.publish(path))

    async def delete(self, account: bytes) -> None:
        """See `Provisioner.delete`."""
        path = user_files.user_path(self._folder, account)
        await self._driver.run(lambda: user_files.remove(path))

    async def clear(self, account: bytes) -> bool:
        """See `Provisioner.clear`."""
        path = user_files.user_path(self._folder, account)
        await self._driver.run(lambda: user_files.clear_remains(path))
        return not await self._driver.run(path.exists)

    async def usage(self, account: bytes) -> Usage:
        """See `Provisioner.usage`."""
        path = user_files.user_path(self._folder, account)
        return Usage(await self._driver.run(lambda: path.stat().st_size))

    async def block(self, account: bytes, blocked: bool) -> None:
        """Files know no such thing: whoever leases a database is refused before."""

    async def accounts(self) -> list[bytes]:
        """Whose databases there are."""
        return await self._driver.run(lambda: user_files.accounts(self._folder))

    async def sweep(self) -> int:
        """See `Provisioner.sweep`."""
        return await self._driver.run(lambda: user_files.sweep(self._folder))

    async def close(self) -> None:
        """The driver belongs to who made it."""
