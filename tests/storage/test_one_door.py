"""On the server the storage is the one door to the databases (docs/decisions/0002-storage-engine.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import echolia

PACKAGE = Path(echolia.__file__).parent


def imported(source: str) -> set[str]:
    """The first names of all modules that the source imports."""
    nodes = list(ast.walk(ast.parse(source)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


def uses_sqlite(file: Path) -> bool:
    names = {name.split(".")[0] for name in imported(file.read_text())}
    return bool(names & {"sqlite3", "apsw", "libsql", "aiosqlite", "libsql_client"})


def test_only_the_storage_and_the_device_touch_sqlite() -> None:
    rooms = {file.relative_to(PACKAGE).parts[0] for file in PACKAGE.rglob("*.py") if uses_sqlite(file)}
    assert "storage" in rooms
    assert rooms <= {"storage", "client"}  # the device keeps its home in a file of its own


def test_only_the_storage_touches_postgresql() -> None:
    using = {
        file.relative_to(PACKAGE).parts[:2]
        for file in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] in ("psycopg", "psycopg_pool") for name in imported(file.read_text()))
    }
    assert using == {("storage", "postgres")}


def test_an_import_is_seen_wherever_it_stands() -> None:
    assert "sqlite3" in imported("def f():\n    import sqlite3\n")
    assert "sqlite3" in imported("from sqlite3 import connect")
    assert "sqlite3" not in imported("'import sqlite3'")
