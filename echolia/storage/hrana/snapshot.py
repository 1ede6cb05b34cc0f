"""Copies a database that only SQL reaches into a new SQLite file, a page of rows at a time."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from echolia.storage.engine import Result, Statement, StorageError, Value
from echolia.storage.sqlite.faults import storage_error
from echolia.storage.sqlite.user_files import sync_file

T = TypeVar("T")
Read = Callable[[Sequence[Statement]], Awaitable[list[Result]]]

# A page is full with the row that reaches this; the longest row that sqld stores is 5 MB.
PAGE_BYTES: Final = 1 << 20
PAGE_ROWS: Final = 500

_SCHEMA: Final = Statement(
    "SELECT type, name, sql FROM sqlite_schema"
    " WHERE sql IS NOT NULL AND (name NOT LIKE 'sqlite~_%' ESCAPE '~' OR name = 'sqlite_sequence')"
    " ORDER BY rowid"
)
_TABLES: Final = Statement("SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main'")
_COLUMNS: Final = "SELECT name, type, pk FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid"
# The file is nobody's yet and is synced as a whole afterwards; it can shrink, as those born as files can.
_PRAGMAS: Final = """
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA foreign_keys = OFF;
PRAGMA trusted_schema = OFF;
"""
_SEQUENCES: Final = "sqlite_sequence"


class _Table(NamedTuple):
    """A table by its quoted names: what its rows are paged by may be the row's number."""

    name: str
    paged_by: list[str]
    columns: list[str]  # with those


async def write_snapshot(path: Path, read: Read) -> None:
    """Copy all that `read` reads into the new file `path`; nothing may be written meanwhile.

    Raises: `DatabaseExists`, `StorageFull`, `StorageError` (`VIRTUAL_TABLE`: one whose rows lie elsewhere).
    """
    made: list[sqlite3.Connection] = []
    try:
        await _threaded(partial(_make, path, made))
        await _copy(made[0], read)
        await _threaded(partial(_finish, made[0], path))
    except BaseException:
        if made:
            await _threaded(partial(_undo, made[0], path))
        raise


async def _copy(connection: sqlite3.Connection, read: Read) -> None:
    schema, listed = await read([_SCHEMA, _TABLES])
    parts = [(str(kind), str(name), str(sql)) for kind, name, sql in schema.rows]
    kinds = {str(name): (kind, bool(without_rowid)) for name, kind, without_rowid in listed.rows}
    tables = [name for kind, name, _ in parts if kind == "table"]
    if any(kinds.get(name, ("", False))[0] != "table" for name in tables):
        raise StorageError("VIRTUAL_TABLE")
    sql = [sql for kind, name, sql in parts if kind == "table" and name != _SEQUENCES]
    await _threaded(partial(_run, connection, sql))
    for name in sorted(tables, key=lambda name: name == _SEQUENCES):
        (columns,) = await read([Statement(_COLUMNS, (name,))])
        await _rows(connection, read, _table(name, columns.rows, kinds[name][1]))
    await _threaded(partial(_run, connection, [sql for kind, _, sql in parts if kind != "table"]))


def _table(name: str, columns: Sequence[tuple[Any, ...]], without_rowid: bool) -> _Table:
    names = [column for column, _, _ in columns]
    keys = sorted((pk, column, kind.upper()) for column, kind, pk in columns if pk)
    if without_rowid or (len(keys) == 1 and keys[0][2] == "INTEGER"):
        return _Table(_quoted(name), [_quoted(key) for _, key, _ in keys], [_quoted(each) for each in names])
    taken = {each.lower() for each in names}
    number = next(each for each in ("rowid", "_rowid_", "oid") if each not in taken)
    return _Table(_quoted(name), [number], [number, *(_quoted(each) for each in names)])


async def _rows(connection: sqlite3.Connection, read: Read, table: _Table) -> None:
    if table.name == _quoted(_SEQUENCES):
        await _threaded(partial(_run, connection, ["DELETE FROM sqlite_sequence"]))
    places = ", ".join("?" * len(table.columns))
    insert = f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({places})"  # noqa: S608  # names of the schema, quoted
    last: tuple[Value, ...] = ()
    while True:
        (page,) = await read([Statement(_page(table, bool(last)), last)])
        if not page.rows:
            return
        await _threaded(partial(_insert, connection, insert, page.rows))
        last = tuple(page.rows[-1][table.columns.index(each)] for each in table.paged_by)


def _page(table: _Table, goes_on: bool) -> str:
    """The query of the rows after the key given, as many as fill a page."""
    key = ", ".join(table.paged_by)
    after = ", ".join(f"?{at}" for at in range(1, len(table.paged_by) + 1))
    where = f" WHERE ({key}) > ({after})" if goes_on else ""
    size = " + ".join(f"coalesce(length({column}), 0)" for column in table.columns)
    sizes = f"SELECT {key}, {size} AS size FROM {table.name}{where} ORDER BY {key} LIMIT {PAGE_ROWS}"  # noqa: S608
    before = f"SELECT sum(size) OVER (ORDER BY {key}) - size AS before FROM ({sizes})"  # noqa: S608
    many = f"SELECT count(*) FROM ({before}) WHERE before < {PAGE_BYTES}"  # noqa: S608
    columns = ", ".join(table.columns)
    return f"SELECT {columns} FROM {table.name}{where} ORDER BY {key} LIMIT ({many})"  # noqa: S608


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


async def _threaded(work: Callable[[], T]) -> T:
    """Run it in a thread; cancelled, it still waits until it has ended."""
    running = asyncio.ensure_future(asyncio.to_thread(_translated, work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise


def _translated(work: Callable[[], T]) -> T:
    try:
        return work()
    except Exception as error:  # noqa: BLE001  # said anew without its message, and raised below
        failure = storage_error(error)
    raise failure


def _make(path: Path, made: list[sqlite3.Connection]) -> None:
    """The connection goes into `made`, so that whoever was cancelled meanwhile still has it."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    made.append(sqlite3.connect(path, isolation_level=None, check_same_thread=False))
    made[0].executescript(_PRAGMAS)


def _run(connection: sqlite3.Connection, statements: Sequence[str]) -> None:
    for sql in statements:
        connection.execute(sql)


def _insert(connection: sqlite3.Connection, sql: str, rows: Sequence[tuple[Value, ...]]) -> None:
    connection.execute("BEGIN")
    connection.executemany(sql, rows)
    connection.execute("COMMIT")


def _finish(connection: sqlite3.Connection, path: Path) -> None:
    connection.close()
    sync_file(path)


def _undo(connection: sqlite3.Connection, path: Path) -> None:
    connection.close()
    path.unlink(missing_ok=True)
