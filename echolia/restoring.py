"""What an operator does after bringing back a backup: new epochs, before any device reaches the server."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from echolia.auth.store import accounts
from echolia.core.errors import EcholiaError
from echolia.data_folder import directory_of, nobody_else, open_databases
from echolia.settings import Settings
from echolia.storage.databases import UserDatabases, owner
from echolia.storage.directory import FILE
from echolia.storage.engine import DatabaseMissing, FileDriver, StorageError
from echolia.storage.owner_lock import OwnerLock
from echolia.storage.reserve import Reserve
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.sync import epochs
from echolia.web.context import Dice

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
    directory_url: str = "",
) -> Restored:
    """Give every account's log in a data folder, or that of one account, a new epoch.

    `driver` opens the databases instead of one of its own; `dice` gives secret random bytes; `directory_url`
    is the PostgreSQL that holds the directory, where it is not in the folder.

    Each log's is given in one step, so it may be interrupted anywhere and run again: then some get another
    one still, which does no harm as long as no device has seen it. An account that fails keeps no other from
    its turn.

    Raises: `storage_missing` (there is no server's data), `storage_owned`, `machines_serve`,
    `account_unknown`, `StorageError`.
    """
    if not directory_url and not (data / FILE).is_file():
        raise DatabaseMissing("no server has kept its data here")
    settings = Settings(data=data, directory_url=directory_url)
    async with AsyncExitStack() as stack:
        lock = OwnerLock(data)
        stack.callback(lock.release)
        if driver is None:
            driver = own = SqliteDriver(threads=1)
            stack.push_async_callback(own.close)
        reserve = Reserve(data)
        directory = await directory_of(settings, driver, reserve)
        stack.push_async_callback(directory.close)
        await nobody_else(settings, directory)
        databases = await stack.enter_async_context(open_databases(settings, driver, directory, reserve))
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
    epoch = 1 + int.from_bytes(dice(8), "big") % epochs.EPOCHS
    try:
        async with databases.lease(account) as db:
            await epochs.begin(db, epoch)
        await databases.drop(account)
        return False
    except DatabaseMissing:
        # Of before the account: its devices hold all of it, and bring it back.
        await databases.create(account, [owner(account, epoch)])
        return True
