"""Databases that earlier versions made, as `tests/fixtures` keeps them, and what there is in a database."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal

Kind = Literal["user", "directory"]
Rows = dict[str, list[dict[str, Any]]]

FOLDER: Final = Path(__file__).parents[1] / "fixtures"
KINDS: Final[tuple[Kind, ...]] = ("user", "directory")


def versions(kind: Kind) -> list[int]:
    """Those there are."""
    return sorted(int(file.stem) for file in (FOLDER / kind).glob("*.sql"))


def make(kind: Kind, version: int, path: Path) -> Path:
    """Make the database that this version left, in a new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as db:
        db.executescript((FOLDER / kind / f"{version:04}.sql").read_text())
    return path


def rows(path: Path, tables: Mapping[str, Sequence[str]] | None = None) -> Rows:
    """All rows of a closed database by table, or of some tables the values of some columns; in order."""
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        named = {name: ["*"] for name in _tables(db)} if tables is None else tables
        found = {name: db.execute(f"SELECT {', '.join(kept)} FROM {name}") for name, kept in named.items()}
        return {name: sorted(map(dict, result), key=repr) for name, result in found.items()}


def columns(path: Path) -> dict[str, list[str]]:
    """The columns of each table but the migrations' own."""
    with closing(sqlite3.connect(path)) as db:
        sql = "SELECT name FROM pragma_table_info(?)"
        return {name: [column for (column,) in db.execute(sql, (name,))] for name in _tables(db)}


def schema(path: Path) -> set[str]:
    """What the database is made of, whatever its spaces and comments."""
    with closing(sqlite3.connect(path)) as db:
        found = db.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
        return {" ".join(re.sub(r"--[^\n]*", "", sql).split()) for (sql,) in found}


def faults(path: Path) -> list[Any]:
    """What SQLite finds wrong with a closed database."""
    with closing(sqlite3.connect(path)) as db:
        found = db.execute("PRAGMA integrity_check").fetchall()
        return [row for row in found if row != ("ok",)] + db.execute("PRAGMA foreign_key_check").fetchall()


def _tables(db: sqlite3.Connection) -> list[str]:
    sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'schema_migrations'"
    return [name for (name,) in db.execute(sql) if name != "sqlite_sequence"]
