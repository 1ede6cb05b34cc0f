"""On which engine the directories of a test's servers are: SQLite files, or databases of a PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psycopg

from echolia.storage.directory import FILE, open_directory
from echolia.storage.engine import Database
from echolia.storage.migrate import load_migrations
from echolia.storage.postgres.connections import Address
from echolia.storage.postgres.directory import open_elsewhere
from echolia.storage.sqlite.driver import SqliteDriver
from tests.support.postgres import Postgres


class Engine:
    """SQLite files, and within `on` a database of its own for each data folder."""

    def __init__(self) -> None:
        self._postgres: Postgres | None = None
        self._urls: dict[Path, str] = {}

    @contextmanager
    def on(self, postgres: Postgres) -> Iterator[None]:
        """From now on a folder's directory is in this PostgreSQL."""
        self._postgres = postgres
        try:
            yield
        finally:
            self._postgres = None
            for url in self._urls.values():
                postgres.drop(url)
            self._urls.clear()

    def url(self, data: Path) -> str:
        """Where the directory of the data folder is; empty: in a file there."""
        if self._postgres is None:
            return ""
        if data not in self._urls:
            self._urls[data] = self._postgres.fresh()
        return self._urls[data]

    def kept(self, data: Path) -> bytes:
        """All bytes that the directory of the folder holds in rows outside of files."""
        return dumped(self.url(data)) if self._postgres is not None else b""


ENGINE = Engine()


@asynccontextmanager
async def opened_directory(data: Path) -> AsyncIterator[Database]:
    """The directory of a data folder, on the engine of the test."""
    driver = SqliteDriver(1)
    directory: Database
    if url := ENGINE.url(data):
        directory = await open_elsewhere(data, Address(url))
    else:
        directory = await open_directory(data / FILE, driver, load_migrations("directory"))
    try:
        yield directory
    finally:
        await directory.close()
        await driver.close()


def dumped(url: str) -> bytes:
    """All rows of all tables in a database, as bytes."""
    parts = []
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            with connection.cursor().copy(f"COPY {table} TO STDOUT (FORMAT BINARY)".encode()) as copy:
                parts += [bytes(part) for part in copy]
    return b"".join(parts)
