"""Brings one account's database back from a file: looked through first, under a new epoch.

file ──unsealed or copied──▶ checked, migrated, new epoch ──paused──▶ in place of the former one, owner last
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from echolia.core.errors import EcholiaError
from echolia.storage.copying import State, Tell, catch_up, copy_whole, state_of, tables_of
from echolia.storage.databases import UserDatabases
from echolia.storage.engine import (
    Database,
    DatabaseDamaged,
    DatabaseExists,
    DatabaseMissing,
    FileDriver,
    Statement,
    StorageError,
)
from echolia.storage.fencing import fenced_copy
from echolia.storage.migrate import migrate
from echolia.storage.moving import Moves
from echolia.storage.registry import DirectoryRegistry, Place
from echolia.storage.sealed_files import is_sealed
from echolia.storage.snapshots import Snapshot, Snapshots

_WHOSE: Final = Statement("SELECT account FROM account WHERE one = 1")
_LOOK_THROUGH: Final = Statement("PRAGMA integrity_check(1)")
# Puts a log into another epoch, so that devices which saw more of it bring that back.
NewEpoch = Callable[[Database], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Restoring:
    """Restores accounts' databases of a running or stopped server; each step within `UserDatabases.work`."""

    databases: UserDatabases
    registry: DirectoryRegistry
    snapshots: Snapshots
    moves: Moves
    driver: FileDriver
    new_epoch: NewEpoch

    async def restore(
        self, account: bytes, which: str | Path, replace: bool, tell: Tell
    ) -> tuple[State, Snapshot | None]:
        """Put what a file or a snapshot (by its name) holds in the account's place; what is there now goes.

        Gives what was restored, and the snapshot of what was there, if that could be read.
        Raises: `DatabaseExists` without `replace`, `snapshot_invalid`, `DatabaseDamaged`, `StorageError`.
        """
        plain = await self.snapshots.workplace(account, "restored")
        try:
            await self._plain(account, which, plain)
            tell("checked", 0, None)
            source = await self.driver.open(plain)
            try:
                await self._checked(account, source)
                await self.new_epoch(source)
                former = await self._former(account, replace)
                tell("restored", 0, None)
                return await self._placed(account, source), former
            finally:
                await source.close()
        finally:
            await self.snapshots.remove(plain)

    async def _plain(self, account: bytes, which: str | Path, plain: Path) -> None:
        if isinstance(which, Path) and not await self.driver.run(lambda: is_sealed(which)):
            await self.driver.run(lambda: _copy(which, plain))
        else:
            await self.snapshots.opened(account, which, plain)

    async def _checked(self, account: bytes, source: Database) -> None:
        """Assert that the file is whole and this account's, and bring it to the last migration."""
        await _assert_owner(account, source)
        (looked,) = await source.batch([_LOOK_THROUGH], tx=False)
        if looked.rows != [("ok",)]:
            raise DatabaseDamaged("the file is damaged")
        await migrate(source, self.databases.migrations)

    async def _former(self, account: bytes, replace: bool) -> Snapshot | None:
        """Keep what is there; None where there is nothing, or nothing that can be read."""
        try:
            place = await self.registry.place(account)
            # A database that fails to open is there all the same.
            await self.databases.home(place.home).usage(account)
        except DatabaseMissing:
            return None
        if not replace:
            raise DatabaseExists
        try:
            return await self._kept(account, place)
        except (DatabaseDamaged, DatabaseMissing):
            return None

    async def _kept(self, account: bytes, place: Place) -> Snapshot:
        """A snapshot of what is there just as it is, though it may not be served; nobody else's is kept."""
        home = self.databases.home(place.home)
        async with self.databases.paused(account):
            if place.blocked:
                await home.block(account, False)
            db = await home.open(account)
            try:
                await _assert_owner(account, db)
                return await self.snapshots.take(account, db)
            finally:
                await db.close()
                if place.blocked:
                    await home.block(account, True)

    async def _placed(self, account: bytes, source: Database) -> State:
        place = await self._own_place(account)
        home, tables = self.databases.home(place.home), tables_of(self.databases.migrations)
        owner = next(table for table in tables if table.name == "account")
        async with self.databases.paused(account):
            fence = self.databases.fence(account)  # who has lost it replaces nothing of the next owner's
            await home.delete(account)
            # Nobody's until the owner's row is there: what a crash leaves here is served to nobody.
            await home.create(account)
            target = await home.open(account)
            target = target if fence is None else fenced_copy(target, fence)
            try:
                await copy_whole(source, target, [table for table in tables if table != owner])
                await catch_up(source, target, owner)
                state = await state_of(target, tables)
                if state != await state_of(source, tables):
                    raise EcholiaError("move_unverified")
            finally:
                await target.close()
            if place.blocked:
                await home.block(account, True)
            await self.registry.migrated(account, len(self.databases.migrations))
        return state

    async def _own_place(self, account: bytes) -> Place:
        """Where it is to be: where it was, without the rest of any move."""
        await self.registry.put(account, self.databases.new_home)
        await self.moves.give_up(account)
        return await self.registry.place(account)


async def _assert_owner(account: bytes, db: Database) -> None:
    try:
        (whose,) = await db.batch([_WHOSE], tx=False)
    except StorageError as error:
        if error.detail == "SQLITE_ERROR":  # no such table
            raise DatabaseDamaged("not an account's database") from None
        raise
    if whose.rows != [(account,)]:
        raise DatabaseDamaged("another account's database")


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("xb") as written:
        target.chmod(0o600)
        while part := read.read(1 << 20):
            written.write(part)
