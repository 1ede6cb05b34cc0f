"""Accounts' databases in two places, with a directory that knows which; and processes that end in between.

`PLACES` are the kinds of place that a second one can be; a further kind is one more line there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from echolia.storage.databases import FILES, UserDatabases
from echolia.storage.directory import open_directory
from echolia.storage.engine import Database, DatabaseMissing, Result, Statement
from echolia.storage.migrate import Migration, load_migrations
from echolia.storage.moving import Moves
from echolia.storage.operating.checking import OwnDisk
from echolia.storage.operating.opening import opened
from echolia.storage.operating.service import Operator
from echolia.storage.provisioner import Provisioner, Usage
from echolia.storage.registry import DirectoryRegistry
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sqlite.provisioner import Files
from echolia.sync import epochs
from tests.simulator.crashes import Crashed

OTHER: Final = "other"
NOW_MS: Final = 1_795_000_000_123
Make = Callable[[Path, SqliteDriver, Sequence[Migration]], Provisioner]


def second_folder(data: Path, driver: SqliteDriver, migrations: Sequence[Migration]) -> Provisioner:
    """Files of another folder, as on another disk."""
    return Files(data / OTHER, driver, migrations)


class Kind(NamedTuple):
    """A kind of place: how it is made for a data folder, and where its bytes lie on this machine's disk."""

    make: Make
    disk: Callable[[Path], Path]


PLACES: Final[dict[str, Kind]] = {"folder": Kind(second_folder, lambda data: data / OTHER)}


@dataclass
class End:
    """When a process ends: at its `at`-th durable step (0: never), before that is taken or right after."""

    at: int = 0
    after: bool = False
    steps: int = 0
    dead: bool = False

    def begin(self) -> None:
        """A durable step is about to be taken."""
        self.alive()
        self.steps += 1
        self.dead = self.steps == self.at and not self.after
        self.alive()

    def end(self) -> None:
        """It is taken."""
        self.dead = self.dead or (self.steps >= self.at > 0)
        self.alive()

    def alive(self) -> None:
        """Return if the process still runs."""
        if self.dead:
            raise Crashed


@dataclass
class EndingDatabase:
    """A database of a process that ends; each unit of work that may write is a durable step."""

    real: Database
    until: End

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """As the real one, until the end."""
        if not tx:
            self.until.alive()
            return await self.real.batch(statements, tx)
        self.until.begin()
        results = await self.real.batch(statements, tx)
        self.until.end()
        return results

    async def snapshot(self, path: Path) -> None:
        """As the real one, until the end."""
        self.until.begin()
        await self.real.snapshot(path)
        self.until.end()

    async def reclaim(self) -> None:
        """As the real one, until the end."""
        self.until.begin()
        await self.real.reclaim()
        self.until.end()

    async def close(self) -> None:
        """Close the real one; a process that has ended closes nothing in order."""
        if not self.until.dead:
            await self.real.close()


@dataclass
class EndingPlace:
    """A place of a process that ends."""

    real: Provisioner
    until: End
    opened: list[Database] = field(default_factory=list)

    async def open(self, account: bytes) -> Database:
        """As the real one, until the end."""
        self.until.alive()
        self.opened.append(await self.real.open(account))
        return EndingDatabase(self.opened[-1], self.until)

    async def create(self, account: bytes, statements: Sequence[Statement] = ()) -> None:
        """As the real one, until the end."""
        self.until.begin()
        await self.real.create(account, statements)
        self.until.end()

    async def delete(self, account: bytes) -> None:
        """As the real one, until the end."""
        self.until.begin()
        await self.real.delete(account)
        self.until.end()

    async def clear(self, account: bytes) -> bool:
        """As the real one, until the end."""
        self.until.begin()
        cleared = await self.real.clear(account)
        self.until.end()
        return cleared

    async def usage(self, account: bytes) -> Usage:
        """As the real one."""
        return await self.real.usage(account)

    async def block(self, account: bytes, blocked: bool) -> None:
        """As the real one, until the end."""
        self.until.begin()
        await self.real.block(account, blocked)
        self.until.end()

    async def sweep(self) -> int:
        """As the real one."""
        return await self.real.sweep()

    async def close(self) -> None:
        """Close what a process left open, and the place."""
        for db in self.opened:
            await db.close()
        await self.real.close()


@dataclass
class EndingFolder(EndingPlace):
    """A place of this machine, of a process that ends."""

    async def accounts(self) -> list[bytes]:
        """As the real one."""
        assert isinstance(self.real, OwnDisk)
        return await self.real.accounts()


def ending(real: Provisioner, until: End) -> EndingPlace:
    """A place that ends with its process."""
    return (EndingFolder if isinstance(real, OwnDisk) else EndingPlace)(real, until)


@dataclass
class Process:
    """A server's storage while it runs."""

    homes: dict[str, EndingPlace]
    directory: Database
    registry: DirectoryRegistry
    databases: UserDatabases
    operator: Operator
    driver: SqliteDriver

    @property
    def moves(self) -> Moves:
        """What moves databases here."""
        return self.operator.moves

    async def is_at(self, name: str, account: bytes) -> bool:
        """Whether a place has a database of the account."""
        try:
            db = await self.homes[name].real.open(account)
            try:
                await db.batch([Statement("SELECT 1")], tx=False)
            finally:
                await db.close()
        except DatabaseMissing:
            return False
        return True


@asynccontextmanager
async def two_places(
    data: Path, kind: str = "folder", until: End | None = None, max_open: int = 8
) -> AsyncIterator[Process]:
    """The storage of one process on the data folder."""
    until = until or End()
    driver, migrations = SqliteDriver(threads=4), load_migrations("user")
    real = await open_directory(data / "directory.db", driver, load_migrations("directory"))
    directory = EndingDatabase(real, until)
    homes = {
        FILES: ending(Files(data / "users", driver, migrations), until),
        OTHER: ending(PLACES[kind].make(data, driver, migrations), until),
    }
    registry = DirectoryRegistry(directory)
    databases = UserDatabases(homes, registry, migrations, max_open)
    new_epoch = epochs.begin_anew(lambda count: bytes(range(7, 7 + count)))
    operator = opened(data, databases, registry, directory, driver, lambda: NOW_MS, new_epoch)
    try:
        yield Process(homes, directory, registry, databases, operator, driver)
    finally:
        if not until.dead:
            await databases.close()
        for home in homes.values():
            await home.close()
        await real.close()
        await driver.close()
