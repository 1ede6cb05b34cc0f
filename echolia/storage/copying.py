"""Copies one database into another of the same schema, a page at a time, and sums up what is there.

Rows travel in the order of their table's key, so that an interrupted copy goes on behind the last key that
arrived; both databases may be of any driver. Rows that changed behind that point are found without their
large values: by a row's `print`, which holds its small values and the lengths of the others.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, NamedTuple, Protocol

from echolia.core import canonical
from echolia.storage.engine import Result, Statement, Value
from echolia.storage.migrate import Migration

# What a page may hold, beside one row however large; so much memory a copy takes.
PAGE_BYTES: Final = 1 << 20
PAGE_ROWS: Final = 500
PRINTS: Final = 2000
# A value longer than this is in a print by its length alone.
_PRINTED_BYTES: Final = 64

Row = tuple[Value, ...]
Key = tuple[Any, ...]
# Tells how many rows are done, of how many.
Tell = Callable[[str, int, int | None], None]


class Batches(Protocol):
    """What copying needs of a database, open or leased for each unit of work."""

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """One unit of work; see `engine.Database.batch`."""
        ...


class Table(NamedTuple):
    """A table: its columns in order, and those of its primary key."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def keys(self) -> str:
        """The key as SQL compares it."""
        return f"({', '.join(self.key)})"

    @property
    def places(self) -> str:
        """Parameters for a key."""
        return f"({', '.join('?' * len(self.key))})"

    def key_of(self, row: Row) -> Key:
        """The key of a row of all columns."""
        return tuple(row[self.columns.index(name)] for name in self.key)


class State(NamedTuple):
    """What a database holds: how many rows each table has, and a SHA-256 over all of it."""

    counts: Mapping[str, int]
    root: bytes


def tables_of(migrations: Sequence[Migration]) -> list[Table]:
    """The tables that the steps make, those before that others refer to.

    Raises: ValueError where one has no primary key.
    """
    with closing(sqlite3.connect(":memory:")) as made:
        for statement in (each for step in migrations for each in step.statements):
            made.execute(statement.sql)
        names = made.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid").fetchall()
        return [_table(made, name) for (name,) in names if not name.startswith("sqlite_")]


def _table(made: sqlite3.Connection, name: str) -> Table:
    columns = made.execute("SELECT name, pk FROM pragma_table_info(?)", (name,)).fetchall()
    key = sorted((place, column) for column, place in columns if place)
    if not key:
        raise ValueError(f"{name} has no primary key")
    return Table(name, tuple(column for column, _ in columns), tuple(column for _, column in key))


# --- reading ---


async def page(db: Batches, table: Table, after: Key | None, upto: Key | None = None) -> list[Row]:
    """The rows whose keys come after one key, up to another; as many as a page may hold, at least one."""
    where, bounds = _between(table, after, upto)
    size = " + ".join(f"coalesce(length({name}), 0)" for name in table.columns)
    sizes = f"SELECT {size}, {', '.join(table.key)} FROM {table.name}{where} ORDER BY {_order(table)} LIMIT ?"  # noqa: S608
    (found,) = await db.batch([Statement(sizes, (*bounds, PAGE_ROWS))], tx=False)
    last = _last_that_fits(found.rows)
    if last is None:
        return []
    where, bounds = _between(table, after, last)
    rows = f"SELECT {', '.join(table.columns)} FROM {table.name}{where} ORDER BY {_order(table)}"  # noqa: S608
    return (await db.batch([Statement(rows, bounds)], tx=False))[0].rows


async def last_key(db: Batches, table: Table) -> Key | None:
    """The greatest key of a table; None where it has no row."""
    order = ", ".join(f"{name} DESC" for name in table.key)
    sql = f"SELECT {', '.join(table.key)} FROM {table.name} ORDER BY {order} LIMIT 1"  # noqa: S608
    (found,) = await db.batch([Statement(sql)], tx=False)
    return found.rows[0] if found.rows else None


async def counted(db: Batches, tables: Sequence[Table]) -> dict[str, int]:
    """How many rows each table has."""
    asked = [Statement(f"SELECT count(*) FROM {table.name}") for table in tables]  # noqa: S608
    found: list[Any] = await db.batch(asked, tx=False)
    return {table.name: result.rows[0][0] for table, result in zip(tables, found, strict=True)}


def _between(table: Table, after: Key | None, upto: Key | None) -> tuple[str, Row]:
    bounds = [(">", after), ("<=", upto)]
    given = [(sign, key) for sign, key in bounds if key is not None]
    where = " AND ".join(f"{table.keys} {sign} {table.places}" for sign, _ in given)
    return (f" WHERE {where}" if where else ""), tuple(value for _, key in given for value in key)


def _order(table: Table) -> str:
    return ", ".join(table.key)


def _last_that_fits(sized: Iterable[Row]) -> Key | None:
    last, total = None, 0
    for row in sized:
        size: Any = row[0]
        total += size
        if last is not None and total > PAGE_BYTES:
            break
        last = row[1:]
    return last


# --- writing ---


def put(table: Table, row: Row) -> Statement:
    """Stores a row, in place of one of the same key."""
    columns, places = ", ".join(table.columns), ", ".join("?" * len(table.columns))
    rest = [name for name in table.columns if name not in table.key]
    instead = f"UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in rest)}" if rest else "NOTHING"
    return Statement(
        f"INSERT INTO {table.name} ({columns}) VALUES ({places})"  # noqa: S608
        f" ON CONFLICT {table.keys} DO {instead}",
        row,
    )


async def catch_up(
    source: Batches, target: Batches, table: Table, told: Callable[[int], None] = lambda _: None
) -> int:
    """Copy the rows behind the last one that the target has, up to the last that there is now.

    Returns how many there were; `told` hears of each page how many rows it had.
    """
    copied, after, upto = 0, await last_key(target, table), await last_key(source, table)
    while rows := await page(source, table, after, upto):
        await target.batch([put(table, row) for row in rows])
        copied, after = copied + len(rows), table.key_of(rows[-1])
        told(len(rows))
    return copied


async def copy_whole(source: Batches, target: Batches, tables: Sequence[Table]) -> None:
    """Copy these tables anew, whatever the target has of them."""
    gone = [Statement(f"DELETE FROM {table.name}") for table in reversed(tables)]  # noqa: S608
    await target.batch(gone)
    for table in tables:
        await catch_up(source, target, table)


async def mend(source: Batches, target: Batches, table: Table) -> int:
    """Copy the rows that the target has otherwise, and remove those that it alone has, up to its last one.

    Returns how many there were.
    """
    mended, after, end = 0, None, await last_key(target, table)
    while end is not None:
        theirs, ours = await asyncio.gather(*(_prints(db, table, after, end) for db in (source, target)))
        # Of a page that is cut, nothing is known behind its last row.
        cut = [max(prints) for prints in (theirs, ours) if len(prints) == PRINTS]
        upto = min(cut, default=end)
        there = {key: print_ for key, print_ in theirs.items() if key <= upto}
        here = {key: print_ for key, print_ in ours.items() if key <= upto}
        changed = {key: print_ for key, print_ in there.items() if here.get(key) != print_}
        gone = here.keys() - there.keys()
        if gone:
            remove = f"DELETE FROM {table.name} WHERE {table.keys} = {table.places}"  # noqa: S608
            await target.batch([Statement(remove, key) for key in gone])
        for keys in _by_size(changed):
            await _copy_these(source, target, table, keys)
        mended += len(gone) + len(changed)
        if not cut:
            break
        after = upto
    return mended


async def _copy_these(source: Batches, target: Batches, table: Table, keys: Sequence[Key]) -> None:
    sql = f"SELECT {', '.join(table.columns)} FROM {table.name} WHERE {table.keys} = {table.places}"  # noqa: S608
    found = await source.batch([Statement(sql, key) for key in keys], tx=False)
    # One that is gone by now is found when it is looked for again.
    await target.batch([put(table, row) for result in found for row in result.rows])


async def _prints(db: Batches, table: Table, after: Key | None, upto: Key) -> dict[Key, Row]:
    """Rows' keys and prints; the first value of a print is the row's size."""
    where, bounds = _between(table, after, upto)
    size = " + ".join(f"coalesce(length({name}), 0)" for name in table.columns)
    small = [
        f"CASE WHEN length({name}) > {_PRINTED_BYTES} THEN length({name}) ELSE {name} END"
        for name in table.columns
    ]
    sql = (
        f"SELECT {', '.join(table.key)}, {size}, {', '.join(small)} FROM {table.name}{where}"  # noqa: S608
        f" ORDER BY {_order(table)} LIMIT {PRINTS}"
    )
    (found,) = await db.batch([Statement(sql, bounds)], tx=False)
    width = len(table.key)
    return {row[:width]: row[width:] for row in found.rows}


def _by_size(prints: Mapping[Key, Row]) -> Iterator[list[Key]]:
    """The keys in groups of which each is a page at most."""
    group: list[Key] = []
    total = 0
    for key, (size, *_) in prints.items():
        bytes_: Any = size
        if group and total + bytes_ > PAGE_BYTES:
            yield group
            group, total = [], 0
        group.append(key)
        total += bytes_
    if group:
        yield group


# --- summing up ---


@dataclass(slots=True)
class Sum:
    """The sum of a table's rows up to some key; it can be gone on with where it stands."""

    table: Table
    count: int = 0
    last: Key | None = None
    _hash: Any = field(default_factory=sha256)

    async def advance(self, db: Batches, upto: Key | None = None) -> None:
        """Take in the rows behind the last one, up to this key where one is given."""
        while rows := await page(db, self.table, self.last, upto):
            await asyncio.to_thread(self._take, rows)
            self.count, self.last = self.count + len(rows), self.table.key_of(rows[-1])

    def _take(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._hash.update(canonical.encode(list(row)))

    def told(self) -> list[Any]:
        """The table's name, how many rows it has, and the hash over them."""
        return [self.table.name, self.count, self._hash.digest()]


async def state_of(db: Batches, tables: Sequence[Table], begun: Sequence[Sum] = ()) -> State:
    """What the database holds in these tables, the same on any driver; sums that were begun are ended."""
    known = {each.table.name: each for each in begun}
    sums = [known.get(table.name) or Sum(table) for table in tables]
    for each in sums:
        await each.advance(db)
    told = [each.told() for each in sums]
    root = sha256(b"echolia/1/state" + canonical.encode(told)).digest()
    return State({name: count for name, count, _ in told}, root)
