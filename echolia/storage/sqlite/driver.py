"""SQLite files by the standard library: one connection a database, one thread hop a unit of work.

One connection per file also keeps the WAL-reset corruption bug of SQLite before 3.51.3 out of reach: it
needs two.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from echolia.storage.engine import Database, DatabaseMissing, Result, Statement, StorageError, Value
from echolia.storage.sqlite.faults import storage_error
from echolia.storage.sqlite.reclaim import reclaim
from echolia.storage.sqlite.threads import Threads, Unit, Workers
from echolia.storage.sqlite.user_files import sync_file

T = TypeVar("T")
Batch = list[Result]

CACHE_KIB: Final = 128
# Pages of 4 KiB. A smaller log leaves less beside the database; a larger one is emptied less often.
CHECKPOINT_PAGES: Final = 256
LOG_LIMIT_BYTES: Final = 1024 * 1024
CACHED_STATEMENTS: Final = 24
_NUMBERED_WARN: Final = (3, 12) <= sys.version_info < (3, 12, 4)

# Of these, `auto_vacuum` works only where the file is made: then its free pages can be given back in steps.
_PRAGMAS: Final = f"""
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA cache_size = -{{cache_kib}};
PRAGMA mmap_size = 0;
PRAGMA temp_store = MEMORY;
PRAGMA trusted_schema = OFF;
PRAGMA foreign_keys = ON;
PRAGMA secure_delete = ON;
PRAGMA synchronous = FULL;
PRAGMA fullfsync = ON;
PRAGMA journal_mode = WAL;
PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
PRAGMA journal_size_limit = {LOG_LIMIT_BYTES};
"""
# The file is nobody's yet and is synced as a whole afterwards: neither shared memory nor syncs are needed.
_COPY_PRAGMAS: Final = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA synchronous = OFF;
PRAGMA foreign_keys = ON;
PRAGMA trusted_schema = OFF;
"""


class SqliteDriver:
    """Opens SQLite files; all its databases share `threads` threads, or the workers given.

    `busy_ms` is how long a unit of work waits for a lock that another process holds; `cache_kib` is each
    connection's page cache.
    """

    def __init__(
        self, threads: int | Workers = 8, *, busy_ms: int = 2000, cache_kib: int = CACHE_KIB
    ) -> None:
        self._threads: Workers = Threads(threads) if isinstance(threads, int) else threads
        self._busy_ms = busy_ms
        self._cache_kib = cache_kib

    async def open(self, path: Path, create: bool = False, *, cache_kib: int | None = None) -> Database:
        """Open the database at `path`; without `create` a missing file stays missing (`DatabaseMissing`)."""
        opened: list[sqlite3.Connection] = []
        pragmas = _PRAGMAS.format(cache_kib=cache_kib or self._cache_kib)
        work = partial(_open, path, create, self._busy_ms, pragmas, opened)
        try:
            await self._threads.run(work)
        except asyncio.CancelledError:
            for connection in opened:
                connection.close()
            raise
        return SqliteDatabase(opened[0], self._threads)

    async def copy(self, template: bytes, path: Path, statements: Sequence[Statement]) -> None:
        """Write the template and the statements to the new file `path`; its content is on disk on return."""
        await self._threads.run(lambda _: _copy(template, path, statements))

    async def run(self, work: Callable[[], T]) -> T:
        """Run file work in a thread; its OSErrors come back as storage errors."""
        return await self._threads.run(lambda _: _translated(work))

    async def close(self) -> None:
        """End the threads; close the databases first."""
        await self._threads.close()


class SqliteDatabase:
    """One connection, used by one unit of work at a time."""

    __slots__ = ("_connection", "_lock", "_threads")

    def __init__(self, connection: sqlite3.Connection, threads: Workers) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._threads = threads
        self._lock = asyncio.Lock()

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """Run the statements in one thread hop; see `engine.Database.batch`."""
        async with self._lock:
            connection = self._connection
            if connection is None:
                raise StorageError("closed")
            work = partial(_batch, connection, statements, tx)
            return await self._threads.run(work, connection.interrupt)

    async def snapshot(self, path: Path) -> None:
        """See `engine.Database.snapshot`; one thread hop, however long."""
        async with self._lock:
            connection = self._connection
            if connection is None:
                raise StorageError("closed")
            await self._threads.run(lambda _: _snapshot(connection, path), connection.interrupt)

    async def reclaim(self) -> None:
        """See `engine.Database.reclaim`; in steps that others come between."""
        await reclaim(self)

    async def close(self) -> None:
        """Move the log into the database file and close; cancelled while it waits its turn, it has not."""
        async with self._lock:
            connection = self._connection
            if connection is not None:
                await self._threads.run(lambda _: _close(connection))
                self._connection = None  # only now: cancelled before its turn, it can be called again


def _translated(work: Callable[[], T]) -> T:
    try:
        return work()
    except Exception as error:  # noqa: BLE001  # said anew without its message, and raised below
        failure = storage_error(error)
    raise failure


def _open(
    path: Path, create: bool, busy_ms: int, pragmas: str, opened: list[sqlite3.Connection], _: Unit[None]
) -> None:
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
    try:
        if create:  # by ourselves, for its mode; the log takes the mode of the file
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = _connect(uri, busy_ms)
        try:
            connection.executescript(pragmas)
        except sqlite3.Error:
            connection.close()
            raise
        opened.append(connection)
        return
    except Exception as error:  # noqa: BLE001  # said anew without its message, and raised below
        failure = storage_error(error)
    # SQLite says "unable to open" for a file that is not there as for one it may not read.
    raise failure if path.exists() else DatabaseMissing()


def _connect(uri: str, busy_ms: int = 0) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri,
        uri=True,
        timeout=busy_ms / 1000,
        isolation_level=None,
        check_same_thread=False,  # the asyncio lock of `SqliteDatabase` lets one thread in at a time
        cached_statements=CACHED_STATEMENTS,
    )
    # No ATTACH: a statement can reach the one database it was given to and no other.
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    return connection


def _batch(
    connection: sqlite3.Connection, statements: Sequence[Statement], tx: bool, unit: Unit[Batch]
) -> Batch:
    try:
        # A single statement is a transaction of its own already.
        if not tx or len(statements) == 1:
            results = _execute(connection, statements, unit)
            if connection.in_transaction:
                raise StorageError("transaction left open")
            return results
        connection.execute("BEGIN IMMEDIATE")
        results = _execute(connection, statements, unit)
        if unit.stop:
            raise StorageError("stopped")
        connection.execute("COMMIT")
        return results
    except Exception as error:  # noqa: BLE001  # said anew without its message, and raised below
        failure = storage_error(error)
    with suppress(sqlite3.Error):  # a failed rollback shows when the next unit of work cannot begin
        connection.rollback()
    raise failure


def _execute(connection: sqlite3.Connection, statements: Sequence[Statement], unit: Unit[Batch]) -> Batch:
    results: Batch = []
    for sql, params in statements:
        if unit.stop:
            raise StorageError("stopped")
        before = connection.total_changes
        cursor = connection.execute(sql, _bound(sql, params) if _NUMBERED_WARN else params)
        rows = cursor.fetchall() if cursor.description else []
        # sqlite3 counts only what begins with INSERT, UPDATE, DELETE or REPLACE, so not `WITH … INSERT`.
        changed = cursor.rowcount if cursor.rowcount >= 0 else connection.total_changes - before
        results.append(Result(rows, changed))
    return results


def _bound(sql: str, params: tuple[Value, ...]) -> tuple[Value, ...] | dict[str, Value]:
    """The parameters of `?1`, `?2`, … by their names, as Python's first 3.12 wants them."""
    return {str(n): value for n, value in enumerate(params, start=1)} if "?1" in sql else params


def _close(connection: sqlite3.Connection) -> None:
    # On failure the log stays beside the database and is read at the next opening: nothing is lost.
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()


def _snapshot(connection: sqlite3.Connection, path: Path) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 1)  # VACUUM attaches what it writes
        try:
            connection.execute("VACUUM INTO ?", (os.fspath(path.absolute()),))
            sync_file(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        return
    except Exception as error:  # noqa: BLE001  # said anew without its message, and raised below
        failure = storage_error(error)
    raise failure


def _copy(template: bytes, path: Path, statements: Sequence[Statement]) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(file, "wb", closefd=False) as whole:
                whole.write(template)
            _fill(path, statements)
            os.fsync(file)
        finally:
            os.close(file)
        return
    except Exception as error:  # noqa: BLE001  # said anew without its message, and raised below
        failure = storage_error(error)
    raise failure


def _fill(path: Path, statements: Sequence[Statement]) -> None:
    if not statements:
        return
    connection = _connect(f"{path.absolute().as_uri()}?mode=rw")
    try:
        connection.executescript(_COPY_PRAGMAS)
        connection.execute("BEGIN")
        for sql, params in statements:
            connection.execute(sql, _bound(sql, params) if _NUMBERED_WARN else params).fetchall()
        connection.execute("COMMIT")
        # Closing does this too, but silently leaves the log behind where the disk is full.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()
