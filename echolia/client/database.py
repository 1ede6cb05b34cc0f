"""The home's SQLite database: opened safely, migrated, one writer, every unit of work one transaction."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from echolia.client.environment import Durably, at_once
from echolia.client.faults import home_faults
from echolia.client.schema import APPLICATION_ID, MIGRATIONS
from echolia.core.device_log import DeviceLog
from echolia.core.errors import EcholiaError
from echolia.core.merge import ObjectState


class Database:
    """One connection, used by one thread at a time; anything may raise `disk_full` or `home_damaged`."""

    def __init__(self, connection: sqlite3.Connection, durably: Durably) -> None:
        self._connection, self._durably = connection, durably
        self.device_log: DeviceLog | None = None  # as far as it was verified: `ledger.device_log`
        # The state that was edited last, and the bytes that it lies here as: for `Editor`.
        self.edited: tuple[bytes, ObjectState] | None = None

    @classmethod
    def create(cls, path: Path, durably: Durably = at_once) -> Database:
        """A new database at `path`, whose folder is private already."""
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600))
        return cls._opened(path, durably)

    @classmethod
    def open(cls, path: Path, durably: Durably = at_once) -> Database:
        """The database at `path`; raises `home_damaged` or `home_newer`."""
        if not path.is_file():
            raise EcholiaError("home_damaged", "its database is missing")
        return cls._opened(path, durably)

    @classmethod
    def _opened(cls, path: Path, durably: Durably) -> Database:
        with home_faults():
            uri = f"{path.absolute().as_uri()}?mode=rw"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            try:
                _configure(connection)
                _migrate(connection)
            except BaseException:
                connection.close()
                raise
        return cls(connection, durably)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A unit of work: on disk when the block ends, undone if it raises."""
        with home_faults():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._durably(self._commit)
            except BaseException:
                if self._connection.in_transaction:  # some failures have rolled back already
                    self._connection.execute("ROLLBACK")
                raise

    def run(self, sql: str, *values: object) -> int:
        """Execute a statement, durably unless in a transaction; gives the row id of what it inserted."""
        if not self._connection.in_transaction:
            with self.transaction():
                return self.run(sql, *values)
        with closing(self._execute(sql, values)) as cursor:
            return cursor.lastrowid or 0

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with closing(self._execute(sql, values)) as cursor, home_faults():
            return cursor.fetchall()

    def row(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        """The first row of a query, or None."""
        with closing(self._execute(sql, values)) as cursor, home_faults():
            found: tuple[Any, ...] | None = cursor.fetchone()
            return found

    def value(self, sql: str, *values: object) -> Any:
        """The first column of the first row, or None."""
        found = self.row(sql, *values)
        return found[0] if found else None

    def each(self, sql: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """The rows of a query one by one, so that memory stays flat."""
        with closing(self._execute(sql, values)) as cursor, home_faults():
            yield from cursor

    def get(self, name: str) -> Any:
        """A value of the `meta` table, or None."""
        return self.value("SELECT value FROM meta WHERE name = ?", name)

    def put(self, name: str, value: object) -> None:
        """Set a value of the `meta` table."""
        self.run("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)

    def shrink(self) -> None:
        """Give the room of what was deleted back to the disk; a sent outbox is most of a home otherwise."""
        if self.value("PRAGMA freelist_count"):
            with home_faults():
                # `execute` would free one page; and the write-ahead log stays as long as it ever was.
                self._connection.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _commit(self) -> None:
        self._connection.execute("COMMIT")

    def _execute(self, sql: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        with home_faults():
            return self._connection.execute(sql, values)


def _configure(connection: sqlite3.Connection) -> None:
    # Read first: on a file that is no database this fails before anything is written to it.
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application not in {0, APPLICATION_ID} or (application == 0 and version != 0):
        raise EcholiaError("home_damaged", "its database belongs to another program")
    if version > len(MIGRATIONS):
        raise EcholiaError("home_newer")
    if not connection.execute("PRAGMA page_count").fetchone()[0]:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only possible before anything is in the file
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "secure_delete = ON",
        "trusted_schema = OFF",
        "cache_size = -8192",
        "busy_timeout = 2000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _migrate(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number};"
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {script} {marks} COMMIT;")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
