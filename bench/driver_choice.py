"""Why sqlite3 and not libsql: the probes behind docs/decisions/0002-storage-engine.md, as a table.

    python3 -m venv .venv-drivers && .venv-drivers/bin/python -m pip install libsql libsql-client
    .venv-drivers/bin/python bench/driver_choice.py

Needs nothing but the packages it looks at; what is not installed is left out. Bounded to about a minute.
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
import re
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

LIMIT_S = 40.0
SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000) SELECT max(i) FROM n"
Connect = Callable[[Path], Any]


def by_sqlite3(path: Path) -> Any:
    """A connection of the standard library."""
    return sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)


def by_libsql(path: Path) -> Any:
    """A connection of the `libsql` package."""
    return importlib.import_module("libsql").connect(str(path), isolation_level=None, timeout=5)


def returns(connection: Any, value: object) -> str:
    """Whether a value comes back as it went in, and as what if not."""
    [[back]] = connection.execute("SELECT ?", (value,)).fetchall()
    return "as sent" if repr(back) == repr(value) else f"{back!r}"[:40]


def constraint_error(connection: Any) -> str:
    """The type of error that a broken constraint raises."""
    connection.execute("CREATE TABLE u (a UNIQUE)")
    connection.execute("INSERT INTO u VALUES (1)")
    try:
        connection.execute("INSERT INTO u VALUES (1)")
    except Exception as error:  # noqa: BLE001  # its type is what is asked
        return type(error).__name__
    return "none"


def freeze_ms(connection: Any) -> str:
    """For how long a slow query in one thread stops all others at most."""
    query = threading.Thread(target=lambda: connection.execute(SLOW).fetchall())
    longest, seen = 0.0, time.perf_counter()
    query.start()
    while query.is_alive():
        time.sleep(0.001)
        now = time.perf_counter()
        longest, seen = max(longest, now - seen), now
    return f"{longest * 1000:,.0f} ms"


def durable_commits(connection: Any) -> str:
    """Single-row commits a second, each synced."""
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE t (a)")
    begun = time.perf_counter()
    for _ in range(500):
        connection.execute("INSERT INTO t VALUES (zeroblob(1000))")
    return f"{500 / (time.perf_counter() - begun):,.0f}"


def contention(connect: Connect, path: Path) -> str:
    """Eight connections make 50 transactions each on one file: how long, and how many came to nothing."""
    first = connect(path)
    first.execute("PRAGMA journal_mode = WAL").fetchall()
    first.execute("CREATE TABLE c (a)")
    failed: list[int] = []
    end = time.monotonic() + LIMIT_S

    def write() -> None:
        connection = connect(path)
        for _ in range(50):
            try:
                if time.monotonic() < end:
                    for sql in ("BEGIN IMMEDIATE", "INSERT INTO c VALUES (1)", "COMMIT"):
                        connection.execute(sql)
                        time.sleep(0)  # as any program between two statements, let other threads go first
                    continue
            except Exception:  # noqa: BLE001  # counted below like one that never began
                pass
            failed.append(1)

    writers = [threading.Thread(target=write) for _ in range(8)]
    begun = time.monotonic()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    seconds = time.monotonic() - begun
    [[kept]] = first.execute("SELECT count(*) FROM c").fetchall()
    return f"{seconds:.1f} s; {kept} of 400 kept, {len(failed)} refused or not begun within {LIMIT_S:.0f} s"


def packages(name: str) -> str:
    """How many packages an installation brings."""
    found: set[str] = set()
    wanted = [name]
    while wanted:
        one = wanted.pop()
        if one in found:
            continue
        found.add(one)
        needed = [word for word in metadata.requires(one) or [] if ";" not in word]
        wanted += [re.split(r"[^A-Za-z0-9._-]", word)[0] for word in needed]
    return f"{len(found)} ({metadata.version(name)})"


def probe(connect: Connect, folder: Path) -> dict[str, str]:
    """All probes of one driver."""
    path = folder / "probe.db"
    connection = connect(path)
    return {
        "1732119600123456789": returns(connection, 1732119600123456789),
        "2**63 - 1": returns(connection, 2**63 - 1),
        "text with NUL": returns(connection, "be\0fore"),
        "error of a broken constraint": constraint_error(connection),
        "all threads stop, during a slow query, for": freeze_ms(connection),
        "durable single-row commits a second": durable_commits(connection),
        "8 connections, 400 transactions on one file": contention(connect, folder / "contended.db"),
    }


def main() -> None:
    """Probe what is installed and print the table."""
    columns: dict[str, dict[str, str]] = {}
    for name, connect in (("sqlite3", by_sqlite3), ("libsql", by_libsql)):
        if name != "sqlite3" and importlib.util.find_spec(name) is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            columns[name] = probe(connect, Path(folder))
        columns[name]["packages it brings (version)"] = (
            f"none ({sqlite3.sqlite_version})" if name == "sqlite3" else packages(name)
        )
    print(f"Python {platform.python_version()}\n\n| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for row in columns["sqlite3"]:
        print(f"| {row} | {' | '.join(column[row] for column in columns.values())} |")
    if importlib.util.find_spec("libsql_client") is not None:
        print(f"\nlibsql-client brings {packages('libsql-client')} packages.")


if __name__ == "__main__":
    main()
