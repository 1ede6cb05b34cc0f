"""A directory that was a file moves into PostgreSQL: all of it in one transaction, verified, or nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg

from echolia.storage.directory import FILE, open_directory
from echolia.storage.engine import Database, DatabaseMissing, Statement, StorageError
from echolia.storage.migrate import load_migrations
from echolia.storage.owner_lock import OwnerLock
from echolia.storage.postgres.connections import Address, Connection
from echolia.storage.postgres.directory import LOCK, open_postgres_directory
from echolia.storage.postgres.faults import storage_error
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sqlite.user_files import sync_folder

PAGE: Final = 1_000
COPIED: Final = f"{FILE}.copied"
_TABLES: Final = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'schema_migrations'"
    " AND substr(name, 1, 7) <> 'sqlite_'"
)
_COLUMNS: Final = "SELECT name, type, pk FROM pragma_table_info(?) ORDER BY cid"
_PARENTS: Final = 'SELECT DISTINCT "table" FROM pragma_foreign_key_list(?)'
_TYPES: Final = {"BLOB": "bytea", "INTEGER": "int8", "TEXT": "text", "REAL": "float8"}

# Tells of how many rows, out of how many, are copied.
Tell = Callable[[int, int], None]


class _Table(NamedTuple):
    """A table of the file; `ordered_by` are the columns of its primary key."""

    name: str
    columns: list[str]
    types: list[str]
    ordered_by: list[str]
    rows: int


async def move_in(data: Path, address: Address, tell: Tell) -> dict[str, int]:
    """Copy the directory in a data folder to PostgreSQL, then rename its file; rows by table.

    Interrupted before it ends, there is nothing in PostgreSQL but empty tables. Raises: `storage_missing`
    (there is no such file), `storage_owned` (a server runs on it), `directory_taken` (PostgreSQL holds a
    directory that is not empty), `directory_unreachable`, `StorageError`.
    """
    if not (data / FILE).is_file():
        raise DatabaseMissing("no directory is kept in a file here")
    async with AsyncExitStack() as stack:
        lock = OwnerLock(data)
        stack.callback(lock.release)
        migrations = load_migrations("directory")
        await (await open_postgres_directory(address, migrations, most=1)).close()
        driver = SqliteDriver(threads=1)
        stack.push_async_callback(driver.close)
        source = await open_directory(data / FILE, driver, migrations)
        stack.push_async_callback(source.close)
        target = await address.connect()
        stack.push_async_callback(target.close)
        tables = await _tables(source)
        await _all(source, target, tables, tell)
        await source.close()  # its log goes into the file
        (data / FILE).rename(data / COPIED)
        sync_folder(data)
    return {table.name: table.rows for table in tables}


async def _tables(source: Database) -> list[_Table]:
    """The tables, those first that others refer to."""
    [found] = await source.batch([Statement(_TABLES)])
    names = [str(name) for (name,) in found.rows]
    parents: dict[str, set[str]] = {}
    for name in names:
        [refers] = await source.batch([Statement(_PARENTS, (name,))])
        parents[name] = {str(parent) for (parent,) in refers.rows} - {name}
    return [await _table(source, name) for name in TopologicalSorter(parents).static_order()]


async def _table(source: Database, name: str) -> _Table:
    counted = Statement(f"SELECT count(*) FROM {name}")  # noqa: S608  # a table of our own migrations
    columns, count = await source.batch([Statement(_COLUMNS, (name,)), counted])
    rows: list[Any] = columns.rows
    key = [column for place, column in sorted((pk, column) for column, _, pk in rows if pk)]
    [(number,)] = count.rows
    assert isinstance(number, int)
    return _Table(name, [row[0] for row in rows], [_TYPES[row[1]] for row in rows], key, number)


async def _all(source: Database, target: Connection, tables: list[_Table], tell: Tell) -> None:
    done, total = 0, sum(table.rows for table in tables)
    try:
        async with target.transaction():
            await _alone(target, tables)
            for table in tables:
                tell(done, total)
                await _copied(source, target, table)
                done += table.rows
            for table in tables:
                await _verified(target, table)
        tell(done, total)
        return
    except psycopg.Error as error:
        failure = storage_error(error)  # its message quotes rows
    raise failure


async def _alone(target: Connection, tables: list[_Table]) -> None:
    """Nobody else comes to the tables, and they are empty."""
    await target.execute("SET LOCAL statement_timeout = 0")
    await target.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    await target.execute(LOCK)
    names = ", ".join(table.name for table in tables)
    await target.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE".encode())
    for table in tables:
        if await _count(target, table):
            raise StorageError(code="directory_taken")


async def _copied(source: Database, target: Connection, table: _Table) -> None:
    into = f"COPY {table.name} ({', '.join(table.columns)}) FROM STDIN (FORMAT BINARY)"
    async with target.cursor().copy(into.encode()) as copy:
        copy.set_types(table.types)
        async for row in _rows(source, table):
            await copy.write_row(row)


async def _rows(source: Database, table: _Table) -> AsyncIterator[tuple[Any, ...]]:
    """All rows in the order of the primary key."""
    key, columns = ", ".join(table.ordered_by), ", ".join(table.columns)
    at = [table.columns.index(column) for column in table.ordered_by]
    after: tuple[Any, ...] = ()
    while True:
        beyond = f" WHERE ({key}) > ({', '.join('?' * len(at))})" if after else ""
        sql = f"SELECT {columns} FROM {table.name}{beyond} ORDER BY {key} LIMIT {PAGE}"  # noqa: S608
        [page] = await source.batch([Statement(sql, after)])
        for row in page.rows:
            yield row
        if len(page.rows) < PAGE:
            return
        after = tuple(page.rows[-1][place] for place in at)


async def _verified(target: Connection, table: _Table) -> None:
    """As many rows are there as were to be copied, and what counts by itself goes on after the last."""
    if await _count(target, table) != table.rows:
        raise StorageError("rows are missing")
    for column, kind in zip(table.columns, table.types, strict=True):
        if [column] == table.ordered_by and kind == "int8":
            last = f"(SELECT max({column}) FROM {table.name})"  # noqa: S608
            counter = f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column}'), {last})"
            await target.execute(counter.encode())


async def _count(target: Connection, table: _Table) -> int:
    [(number,)] = await (
        await target.execute(f"SELECT count(*) FROM {table.name}".encode())  # noqa: S608
    ).fetchall()
    return int(number)
