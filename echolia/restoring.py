"""What an operator does after bringing back a backup: new epochs, before any device reaches the server."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NamedTuple

from echolia.auth.store import accounts
from echolia.core.errors import EcholiaError
from echolia.settings import Settings
from echolia.storage.databases import FILES, UserDatabases, owner
from echolia.storage.directory import open_directory
from echolia.storage.engine import DatabaseMissing, FileDriver, StorageError
from echolia.storage.homes import open_homes
from echolia.storage.migrate import load_migrations
from echolia.storage.owner_lock import OwnerLock
from echolia.storage.registry import DirectoryRegistry
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sqlite.provisioner import Files
from echolia.sync import epochs
from echolia.web.context import Dice

_EPOCHS: Final = 2**53 - 1
# Tells of how many accounts, out of how many, are done.
Tell = Callable[[int, int], None]


class Restored(NamedTuple):
    """How many logs got a new epoch, how many of them had no database and got an empty one, and which
    accounts (by their id in hexadecimal) failed with which code.
    """

    accounts: int
    emptied: int
    failed: dict[str, str]


async def restored(
    data: Path,
    only: bytes | None,
    tell: Tell,
    driver: FileDriver | None = None,
    dice: Dice = secrets.token_bytes,
) -> Restored:
    """Give every account's log in a data folder, or that of one account, a new epoch.

    `driver` opens the databases instead of one of its own; `dice` gives secret random bytes.

    Each log's is given in one step, so it may be interrupted anywhere and run again: then some get another
    one still, which does no harm as long as no device has seen it. An account that fails keeps no other from
    its turn.

    Raises: `storage_missing` (there is no server's data), `storage_owned`, `account_unknown`, `StorageError`.
    """
    if not (data / "directory.db").is_file():
        raise DatabaseMissing("no server has kept its data here")
    async with AsyncExitStack() as stack:
        lock = OwnerLock(data)
        stack.callback(lock.release)
        if driver is None:
            driver = own = SqliteDriver(threads=1)
            stack.push_async_callback(own.close)
        directory = await open_directory(data / "directory.db", driver, load_migrations("directory"))
        stack.push_async_callback(directory.close)
        migrations = load_migrations("user")
        homes = open_homes(Settings(data=data), migrations, time.time)
        for home in homes.values():
            stack.push_async_callback(home.close)
        homes[FILES] = Files(data / "users", driver, migrations)
        databases = UserDatabases(homes, DirectoryRegistry(directory), migrations, max_open=1)
        stack.push_async_callback(databases.close)
        await databases.sweep()
        there = await accounts.listed(directory)
        if only is not None and only not in there:
            raise EcholiaError("account_unknown")
        return await _all(databases, there if only is None else [only], tell, dice)


async def _all(databases: UserDatabases, there: list[bytes], tell: Tell, dice: Dice) -> Restored:
    emptied, failed = 0, {}
    for done, account in enumerate(there):
        tell(done, len(there))
        try:
            emptied += await _one(databases, account, dice)
        except StorageError as error:
            failed[account.hex()] = error.code
    tell(len(there), len(there))
    return Restored(len(there) - len(failed), emptied, failed)


async def _one(databases: UserDatabases, account: bytes, dice: Dice) -> bool:
    """A new epoch for one log; True if it had no database and begins empty."""
    epoch = 1 + int.from_bytes(dice(8), "big") % _EPOCHS
    try:
        async with databases.lease(account) as db:
            await epochs.begin(db, epoch)
        await databases.drop(account)
        return False
    except DatabaseMissing:
        # Of before the account: its devices hold all of it, and bring it back.
        await databases.create(account, [owner(account, epoch)])
        return True
