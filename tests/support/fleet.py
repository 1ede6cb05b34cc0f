"""Accounts whose databases the code before a migration made, and the code that has the migration."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from echolia.storage.databases import UserDatabases, owner
from echolia.storage.directory import open_directory
from echolia.storage.engine import Database, FileDriver, Statement
from echolia.storage.migrate import Migration, load_migrations, split_sql
from echolia.storage.registry import DirectoryRegistry
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sqlite.provisioner import Files
from tests.support.file_databases import file_databases

# A step as they are to be: it adds, and what was there stays as it was.
EXPANDING: Final = "ALTER TABLE acks ADD COLUMN note TEXT; CREATE TABLE notes (note TEXT) STRICT;"
# One that only a database without the table `surprise` takes; its first half is undone with it.
PICKY: Final = "CREATE TABLE fine (a); CREATE TABLE surprise (a);"
SURPRISE: Final = Statement("CREATE TABLE surprise (a)")


def steps_with(*further: str) -> list[Migration]:
    """The released migrations of accounts' databases, and further ones."""
    steps = load_migrations("user")
    for version, sql in enumerate(further, start=len(steps) + 1):
        checksum = sha256(sql.encode()).hexdigest()
        steps.append(Migration(version, checksum, tuple(split_sql(sql))))
    return steps


@dataclass
class Fleet:
    """A directory, and databases in files beside it, none of which is open."""

    folder: Path
    driver: FileDriver
    directory: Database
    accounts: Sequence[bytes]

    @property
    def registry(self) -> DirectoryRegistry:
        """What the directory says of the databases."""
        return DirectoryRegistry(self.directory)

    def databases(
        self, migrations: Sequence[Migration], max_open: int = 64, driver: FileDriver | None = None
    ) -> UserDatabases:
        """The databases, opened by code with these migrations."""
        driver = driver or self.driver
        return file_databases(self.folder, driver, migrations, max_open, directory=self.directory)

    async def run(self, account: bytes, statement: Statement) -> list[tuple[object, ...]]:
        """A statement in a closed database, past all code that knows versions."""
        db = await Files(self.folder, self.driver, []).open(account)
        try:
            (result,) = await db.batch([statement])
        finally:
            await db.close()
        return [*result.rows]

    async def version(self, account: bytes) -> int:
        """The last migration that a closed database has."""
        ((version,),) = await self.run(account, Statement("SELECT max(version) FROM schema_migrations"))
        assert isinstance(version, int)
        return version


@asynccontextmanager
async def fleet_of(folder: Path, count: int, before: Sequence[Migration]) -> AsyncIterator[Fleet]:
    """So many accounts, whose databases have the migrations of `before`."""
    driver = SqliteDriver(4)
    directory = await open_directory(folder / "directory.db", driver, load_migrations("directory"))
    fleet = Fleet(
        folder / "users", driver, directory, [n.to_bytes(2, "big") * 8 for n in range(1, count + 1)]
    )
    old = fleet.databases(before)
    for account in fleet.accounts:
        await old.create(account, [owner(account, 7)])
    await old.close()
    yield fleet
    await directory.close()
    await driver.close()
