"""A data folder, opened: its lock, the room for a full disk, the directory, the accounts' databases."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from echolia.payments.store.sealing import Keys, keys_from
from echolia.settings import Settings
from echolia.storage.budget import files_allowed, open_at_once
from echolia.storage.databases import UserDatabases
from echolia.storage.directory import FILE, Prepare, open_directory
from echolia.storage.engine import Database, DatabaseElsewhere, FileDriver
from echolia.storage.file_homes import Homes, files_alone
from echolia.storage.homes import open_homes
from echolia.storage.migrate import load_migrations, migrate
from echolia.storage.operating.opening import opened
from echolia.storage.operating.service import Operator
from echolia.storage.owner_lock import OwnerLock
from echolia.storage.registry import DirectoryRegistry
from echolia.storage.reserve import Reserve, SparedDatabase
from echolia.storage.secret_files import derived, load_key
from echolia.sync import epochs
from echolia.web.context import Dice
from echolia.workers.agreement import able, agree, alone
from echolia.workers.census import host_of
from echolia.workers.node import folder_of
from echolia.workers.secured import CLUSTER_KEY
from echolia.workers.sockets import clear


@asynccontextmanager
async def whole_folder(
    settings: Settings, driver: FileDriver, reserve: Reserve, homes: Homes = files_alone
) -> AsyncIterator[Database]:
    """The directory, while this process owns the data folder, or those that it starts do.

    What a crash left among the accounts' databases is finished first, the room for a full disk taken up.
    Raises: `storage_owned`, what is wrong with other machines (`agree`, `alone`), `StorageError`.
    """
    lock = OwnerLock(settings.data)
    try:
        if settings.address:
            able(settings)
        reserve.hold()
        clear(folder_of(settings.data))
        directory = await directory_of(settings, driver, reserve)
        try:
            await (agree(settings, directory) if settings.address else nobody_else(settings, directory))
            whose = _another_s if settings.address else _ours
            async with open_databases(settings, driver, directory, reserve, homes, whose) as databases:
                swept = await operator_of(settings, databases, directory, driver).sweep()
            structlog.get_logger().info("swept", files=swept)
            yield directory
        finally:
            await directory.close()
    finally:
        lock.release()


async def nobody_else(settings: Settings, directory: Database) -> None:
    """Assert that no other machine serves the directory's accounts. Raises: as `alone`."""
    await alone(settings, directory, host_of(settings.data))


def _ours(_account: bytes) -> None:
    """There is no other process."""


def _another_s(_account: bytes) -> int:
    """What is left over of an account, its owner removes, which may be on another machine."""
    raise DatabaseElsewhere


async def directory_of(
    settings: Settings, driver: FileDriver, reserve: Reserve, prepare: Prepare = migrate
) -> Database:
    """The directory that the settings name, a file of the folder or a PostgreSQL; to be closed."""
    if settings.directory_url:
        from echolia.storage.postgres.connections import Address  # noqa: PLC0415  # who has one pays
        from echolia.storage.postgres.directory import open_elsewhere  # noqa: PLC0415

        # On another disk, which the reserve is no room of.
        address = Address(settings.directory_url, settings.directory_seconds)
        return await open_elsewhere(settings.data, address, settings.directory_connections, prepare)
    path, migrations = settings.data / FILE, load_migrations("directory")
    directory = await reserve.spared(lambda: open_directory(path, driver, migrations, prepare))
    return SparedDatabase(directory, reserve)


def payment_keys(settings: Settings, dice: Dice = secrets.token_bytes) -> Keys:
    """The keys of purchases: of the data folder, or of all machines of the directory."""
    if settings.address:
        return keys_from(derived(load_key(settings.data / CLUSTER_KEY), "payments"), dice)
    folder = settings.data / "keys"
    folder.mkdir(mode=0o700, exist_ok=True)
    return keys_from(load_key(folder / "payments"), dice)


@asynccontextmanager
async def open_databases(
    settings: Settings,
    driver: FileDriver,
    directory: Database,
    reserve: Reserve,
    homes: Homes = files_alone,
    fence: Callable[[bytes], int | None] = _ours,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[UserDatabases]:
    """The accounts' databases, in the folder's own places (`homes`) and those that the settings name."""
    migrations = load_migrations("user")
    named = open_homes(settings, migrations, clock, driver)
    places = {**named, **homes(settings.data, driver, migrations)}
    most = open_at_once(settings.open_databases, settings.open_memory_bytes, files_allowed())
    registry, new_home = DirectoryRegistry(directory), settings.new_accounts
    databases = UserDatabases(places, registry, migrations, most, reserve, new_home, fence)
    try:
        yield databases
    finally:
        await databases.close()
        for place in places.values():
            await place.close()


def operator_of(
    settings: Settings,
    databases: UserDatabases,
    directory: Database,
    driver: FileDriver,
    clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    dice: Dice = secrets.token_bytes,
) -> Operator:
    """What whoever runs the server can do with them; a deleted account's snapshots go with its database."""
    registry = DirectoryRegistry(directory)
    return opened(
        settings.data, databases, registry, directory, driver, clock_ms, epochs.begin_anew(dice), dice
    )
