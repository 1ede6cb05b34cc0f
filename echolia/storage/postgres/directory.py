"""The directory on PostgreSQL: opened, and brought to the last migration by one process at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psycopg
from psycopg_pool import PoolTimeout

from echolia.storage.directory import FILE, Prepare
from echolia.storage.engine import StorageError
from echolia.storage.migrate import Migration, load_migrations, migrate
from echolia.storage.postgres.connections import Address, Connection
from echolia.storage.postgres.driver import PostgresDatabase

CONNECTIONS: Final = 8
_FIT: Final = "SELECT current_setting('server_encoding') = 'UTF8', pg_is_in_recovery()"
# Any number that nobody else in the database takes for a lock of theirs.
LOCK: Final = "SELECT pg_advisory_xact_lock(4993456709872345)"


async def open_postgres_directory(
    address: Address,
    migrations: Sequence[Migration],
    most: int = CONNECTIONS,
    prepare: Prepare = migrate,
) -> PostgresDatabase:
    """Open the directory at the address by up to `most` connections, and bring it to the last migration.

    Raises: `settings_invalid`, `directory_unreachable`, as `prepare`; nothing stays open then.
    """
    alone = await address.connect()
    try:
        await _fit(alone)
        pool = address.pool(most)
        db = PostgresDatabase(pool, address.seconds)
        try:
            await pool.open(wait=True, timeout=address.seconds)
            await _prepared(alone, db, migrations, prepare)
        except BaseException:
            await db.close()
            raise
        return db
    except (psycopg.Error, PoolTimeout):
        pass  # its message quotes the address
    finally:
        await alone.close()
    raise StorageError(code="directory_unreachable")


async def open_elsewhere(
    data: Path, address: Address, most: int = CONNECTIONS, prepare: Prepare = migrate
) -> PostgresDatabase:
    """Open the directory of a data folder that is not in it, by up to `most` connections.

    Raises: `directory_elsewhere` where one is in the folder too, as `open_postgres_directory`.
    """
    # Served without its accounts, every device would take the server for one that has lost them.
    if (data / FILE).exists():
        raise StorageError(code="directory_elsewhere")
    return await open_postgres_directory(address, load_migrations("directory"), most, prepare)


async def _fit(connection: Connection) -> None:
    (fit,) = await (await connection.execute(_FIT)).fetchall()
    if fit[0] != 1:
        raise StorageError("the database's encoding is not UTF8", code="directory_unreachable")
    if fit[1] != 0:
        raise StorageError("it only reads: a standby", code="directory_unreachable")


async def _prepared(
    alone: Connection, db: PostgresDatabase, migrations: Sequence[Migration], prepare: Prepare
) -> None:
    """Prepare while no other process does: who comes at the same time waits, and finds it done."""
    async with alone.transaction():
        await alone.execute("SET LOCAL statement_timeout = 0")
        await alone.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await alone.execute(LOCK)
        await prepare(db, migrations)
