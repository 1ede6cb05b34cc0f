"""Brings a database to the code's schema: numbered SQL files, each applied once, remembered by checksum."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from echolia.storage.engine import Database, DatabaseMissing, Result, Statement, StorageError, Value

_FILE_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_COMMENT: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)

APPLIED: Final = Statement("SELECT version, checksum FROM schema_migrations ORDER BY version")
_PREPARE: Final = Statement(
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    "version INTEGER PRIMARY KEY, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"
)
_REMEMBER: Final = "INSERT INTO schema_migrations (version, checksum, applied_at) VALUES (?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step: its version (1, 2, …), the file's SHA-256 in hex, its statements in order."""

    version: int
    checksum: str
    statements: tuple[Statement, ...]


def load_migrations(kind: Literal["user", "directory"]) -> list[Migration]:
    """The steps of one kind of database: from the installed package, or from the clone it runs in."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "migrations" / kind
    return read_migrations(installed if installed.is_dir() else package.parent / "migrations" / kind)


def read_migrations(folder: Path) -> list[Migration]:
    """The steps in a folder of files `0001_name.sql`, numbered without gaps from 1.

    Raises: ValueError where the folder's files are not such a sequence.
    """
    migrations = [_read(file) for file in sorted(folder.glob("*.sql"))]
    if not migrations or [m.version for m in migrations] != list(range(1, len(migrations) + 1)):
        raise ValueError(f"{folder.name}: migrations are to be numbered from 0001 without gaps")
    return migrations


def _read(file: Path) -> Migration:
    named = _FILE_NAME.fullmatch(file.name)
    if named is None:
        raise ValueError(f"{file.name}: a migration is named 0001_what_it_does.sql")
    content = file.read_bytes()
    return Migration(int(named[1]), sha256(content).hexdigest(), tuple(split_sql(content.decode())))


def split_sql(script: str) -> list[Statement]:
    """The statements of a script, each with the comments before it.

    Raises: ValueError where the last one is not ended by a semicolon.
    """
    statements: list[Statement] = []
    start = 0
    for end in (found.end() for found in re.finditer(";", script)):
        # A semicolon in a text, a comment or a trigger's body does not complete a statement.
        if sqlite3.complete_statement(script[start:end]):
            statements.append(Statement(script[start:end].strip()))
            start = end
    if _COMMENT.sub("", script[start:]).strip():
        raise ValueError("the last statement of a migration is not complete")
    return statements


def pending(migrations: Sequence[Migration], applied: Sequence[tuple[Value, ...]]) -> list[Migration]:
    """The steps still to apply, given the rows of `APPLIED`.

    Raises: StorageError `migration_changed` where an applied step differs from the code's, `migration_ahead`
    where the database has steps the code does not know.
    """
    if len(applied) > len(migrations):
        raise StorageError(f"{len(applied)} applied, {len(migrations)} known", code="migration_ahead")
    for migration, row in zip(migrations, applied, strict=False):
        if row != (migration.version, migration.checksum):
            raise StorageError(f"version {migration.version}", code="migration_changed")
    return list(migrations[len(applied) :])


def filling(migrations: Sequence[Migration]) -> list[Statement]:
    """What makes an empty database one of the last version, for a single unit of work."""
    return [_PREPARE, *(statement for step in migrations for statement in _applying(step))]


def _applying(step: Migration) -> list[Statement]:
    return [*step.statements, Statement(_REMEMBER, (step.version, step.checksum, int(time.time())))]


async def apply(db: Database, migrations: Sequence[Migration]) -> None:
    """Apply the steps, each as one unit of work together with its remembering."""
    for step in migrations:
        await db.batch(_applying(step))


async def assert_current(db: Database, migrations: Sequence[Migration]) -> None:
    """Leave a database as it is, if the last of the steps was applied.

    Raises: `migration_behind` where it was not, `storage_missing` where none ever was, as `pending`.
    """
    try:
        (applied,) = await db.batch([APPLIED], tx=False)
    except StorageError as error:
        if error.code != StorageError.default_code:
            raise
        applied = Result([], 0)  # it has not even the table of them
    if not applied.rows:
        raise DatabaseMissing("no server has kept its data here")
    if steps := pending(migrations, applied.rows):
        raise StorageError(f"{len(steps)} steps to take", code="migration_behind")


async def migrate(db: Database, migrations: Sequence[Migration]) -> int:
    """Bring a database, even an empty one, to the last of the steps; returns how many were applied.

    Raises: as `pending` and `Database.batch`; a step that fails leaves no trace, those before it stay.
    """
    results: list[Result] = await db.batch([_PREPARE, APPLIED])
    steps = pending(migrations, results[-1].rows)
    await apply(db, steps)
    return len(steps)
