"""Homes as an earlier version left them: what later migrations made is taken out again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from echolia.client.schema import MIGRATIONS


def downgrade(database: Path, version: int) -> None:
    """Make a closed home's database one that has only its first `version` migrations; its rows stay."""
    with closing(sqlite3.connect(":memory:")) as old, closing(sqlite3.connect(database)) as home:
        old.executescript("".join(MIGRATIONS[:version]))
        for kind in ("index", "table"):
            for name in _names(home, kind) - _names(old, kind):
                home.execute(f"DROP {kind} {name}")
        for table in _names(old, "table"):
            for column in _columns(home, table) - _columns(old, table):
                home.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        home.execute(f"PRAGMA user_version = {version}")
        home.commit()


def _names(database: sqlite3.Connection, kind: str) -> set[str]:
    sql = "SELECT name FROM sqlite_schema WHERE type = ? AND name NOT GLOB 'sqlite_*'"
    return _first(database.execute(sql, (kind,)))


def _columns(database: sqlite3.Connection, table: str) -> set[str]:
    return _first(database.execute("SELECT name FROM pragma_table_info(?)", (table,)))


def _first(rows: Iterable[tuple[str]]) -> set[str]:
    return {name for (name,) in rows}
