"""Migrations apply once, in order, wholly or not at all, and notice what does not fit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from echolia.storage.engine import Database, Statement, StorageError
from echolia.storage.migrate import load_migrations, migrate, read_migrations, split_sql
from echolia.storage.sqlite.driver import SqliteDriver


@pytest.fixture
async def db(driver: SqliteDriver, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database."""
    db = await driver.open(tmp_path / "a.db", create=True)
    yield db
    await db.close()


def folder_of(folder: Path, *scripts: str) -> Path:
    """A folder of numbered migrations."""
    folder.mkdir(exist_ok=True)
    for number, script in enumerate(scripts, start=1):
        (folder / f"{number:04}_step.sql").write_text(script)
    return folder


async def tables(db: Database) -> set[object]:
    sql = "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' AND name <> 'schema_migrations'"
    return {name for (name,) in (await db.batch([Statement(sql)]))[0].rows}


async def test_each_step_is_applied_once(db: Database, tmp_path: Path) -> None:
    first = read_migrations(folder_of(tmp_path / "m", "CREATE TABLE a (x);", "CREATE TABLE b (x);"))
    assert await migrate(db, first) == 2
    assert await migrate(db, first) == 0
    more = read_migrations(
        folder_of(tmp_path / "m", "CREATE TABLE a (x);", "CREATE TABLE b (x);", "DROP TABLE a;")
    )
    assert await migrate(db, more) == 1
    assert await tables(db) == {"b"}
    rows = (await db.batch([Statement("SELECT version, checksum, applied_at FROM schema_migrations")]))[
        0
    ].rows
    assert [row[:2] for row in rows] == [(step.version, step.checksum) for step in more]
    assert all(isinstance(at, int) and at > 1_700_000_000 for _, _, at in rows)


async def test_a_failing_step_leaves_no_trace_and_those_before_stay(db: Database, tmp_path: Path) -> None:
    steps = folder_of(
        tmp_path / "m", "CREATE TABLE a (x);", "CREATE TABLE b (x); INSERT INTO nowhere VALUES (1);"
    )
    with pytest.raises(StorageError):
        await migrate(db, read_migrations(steps))
    assert await tables(db) == {"a"}
    folder_of(tmp_path / "m", "CREATE TABLE a (x);", "CREATE TABLE b (x);")
    assert await migrate(db, read_migrations(steps)) == 1
    assert await tables(db) == {"a", "b"}


async def test_an_altered_step_is_noticed(db: Database, tmp_path: Path) -> None:
    await migrate(
        db, read_migrations(folder_of(tmp_path / "m", "CREATE TABLE a (x);", "CREATE TABLE b (x);"))
    )
    altered = read_migrations(
        folder_of(tmp_path / "m", "CREATE TABLE a (x, y);", "CREATE TABLE b (x);", "CREATE TABLE c (x);")
    )
    with pytest.raises(StorageError) as caught:
        await migrate(db, altered)
    assert (caught.value.code, caught.value.detail) == ("migration_changed", "version 1")
    assert await tables(db) == {"a", "b"}


async def test_a_database_ahead_of_the_code_is_noticed(db: Database, tmp_path: Path) -> None:
    steps = read_migrations(folder_of(tmp_path / "m", "CREATE TABLE a (x);", "CREATE TABLE b (x);"))
    await migrate(db, steps)
    with pytest.raises(StorageError) as caught:
        await migrate(db, steps[:1])
    assert caught.value.code == "migration_ahead"


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["0002_second.sql"],
        ["0001_first.sql", "0003_third.sql"],
        ["0001_first.sql", "0001_also.sql"],
        ["0001-first.sql"],
        ["1_first.sql"],
        ["0001_First.sql"],
    ],
)
def test_a_folder_that_is_no_sequence_is_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(ValueError, match="migration"):
        read_migrations(tmp_path)


def test_a_script_is_split_at_the_ends_of_its_statements() -> None:
    script = """
    -- a comment; with a semicolon, and it's quoted
    CREATE TABLE a (x TEXT DEFAULT 'one; two');
    CREATE TRIGGER t AFTER INSERT ON a BEGIN
        UPDATE a SET x = ';'; DELETE FROM a;
    END;
    /* the last; comment */ INSERT INTO a VALUES ('--');
    -- the end
    """
    statements = [statement.sql for statement in split_sql(script)]
    assert [statement.split()[-1] for statement in statements] == ["two');", "END;", "('--');"]


@pytest.mark.parametrize("script", ["CREATE TABLE a (x)", "SELECT 1; SELECT 'open", "SELECT 1; x -- y"])
def test_an_unfinished_statement_is_refused(script: str) -> None:
    with pytest.raises(ValueError, match="complete"):
        split_sql(script)


async def test_the_released_user_migrations_apply(db: Database) -> None:
    steps = load_migrations("user")
    assert await migrate(db, steps) == len(steps)
    assert await tables(db) >= {"account", "runs", "acks"}
