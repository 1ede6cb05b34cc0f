"""`echolia directory copy`: all of a directory goes to PostgreSQL, or nothing, and what it means stays."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from echolia.__main__ import cli
from echolia.core.errors import EcholiaError
from echolia.restoring import restored
from echolia.storage.directory import FILE
from echolia.storage.owner_lock import OwnerLock
from echolia.storage.postgres.connections import Address
from echolia.storage.postgres.moving_in import COPIED, PAGE, move_in
from tests.support.accounts import Account, Keys
from tests.support.postgres import Postgres
from tests.support.server import served

pytestmark = pytest.mark.service


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    """A database with nothing in it."""
    url = postgres.fresh(migrated=False)
    yield url
    postgres.drop(url)


def command(data: Path, *words: str, url: str = "") -> Result:
    """What the command line answers."""
    environment = {"ECHOLIA_DIRECTORY_URL": url}
    return CliRunner().invoke(cli, ["directory", "copy", "--data", str(data), *words], env=environment)


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the tables in a file."""
    with closing(sqlite3.connect(path)) as file:
        names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        return {
            name: sorted(file.execute(f"SELECT * FROM {name}").fetchall(), key=repr)
            for (name,) in file.execute(names)
            if name != "schema_migrations"
        }


async def lived_in(data: Path, *names: str) -> list[Account]:
    """A stopped server's data, with something in most tables."""
    accounts = [Account(name) for name in names]
    async with served(data) as ask:
        for account in accounts:
            ask.token = (await account.register(ask))["access"]
            await account.pair(ask, ask.token, Keys(f"{account.seed}'s phone"))
            await ask("POST", "/sync/live/ticket")
        await accounts[-1].delete(ask, ask.token)
    return accounts


async def test_every_row_is_there_and_the_devices_go_on(tmp_path: Path, postgres: Postgres, url: str) -> None:
    anna, _ = await lived_in(tmp_path, "anna", "ben")
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as file:
        many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        file.execute(f"{many} INSERT INTO tombstones SELECT CAST(i AS BLOB), i FROM n", (PAGE * 2 + 5,))
        file.execute("INSERT INTO live_notices (id, sender, told_ms) VALUES (77, x'00ff', 5)")
    before = contents(tmp_path / FILE)
    done = await asyncio.to_thread(command, tmp_path, "--json", url=url)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"] == {name: len(rows) for name, rows in before.items()}
    for name, rows in before.items():
        there = postgres.execute(f"SELECT * FROM {name}", url)
        assert sorted(there, key=repr) == rows, name
    assert not (tmp_path / FILE).exists() and (tmp_path / COPIED).is_file()
    # What counts by itself goes on.
    added = "INSERT INTO live_notices (sender, told_ms) VALUES ('', 1) RETURNING id"
    assert postgres.execute(added, url) == [(78,)]
    async with served(tmp_path, directory_url=url) as ask:
        tokens = (await anna.sign_in(ask)).json()
        assert (await ask("GET", "/auth/devices", token=tokens["access"])).json()["n"] == 2
        assert (await ask("GET", "/sync/status", token=tokens["access"])).status == 200


async def test_what_is_there_already_is_left_alone(tmp_path: Path, postgres: Postgres, url: str) -> None:
    await lived_in(tmp_path, "anna", "gone")
    async with served(tmp_path / "other", directory_url=url) as ask:
        await Account("ben").register(ask)
    rows = postgres.execute("SELECT * FROM accounts", url)
    done = await asyncio.to_thread(command, tmp_path, "--to", url)
    assert done.exit_code == 1 and "directory_taken" in done.stderr
    assert postgres.execute("SELECT * FROM accounts", url) == rows
    assert (tmp_path / FILE).is_file()


async def test_an_interrupted_one_leaves_nothing_and_is_run_again(
    tmp_path: Path, postgres: Postgres, url: str
) -> None:
    await lived_in(tmp_path, "anna", "gone")

    def interrupts(done: int, _total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await move_in(tmp_path, Address(url), interrupts)
    assert postgres.execute("SELECT count(*) FROM accounts", url) == [(0,)]
    assert (tmp_path / FILE).is_file()
    assert (await move_in(tmp_path, Address(url), lambda *_: None))["accounts"] == 1


async def test_a_row_that_postgres_refuses_keeps_all_of_them_away(
    tmp_path: Path, postgres: Postgres, url: str
) -> None:
    await lived_in(tmp_path, "anna", "gone")
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as file:
        file.execute(
            "INSERT INTO databases (account, home) VALUES (zeroblob(16), 'kana' || char(0) || 'riya')"
        )
    with pytest.raises(EcholiaError) as caught:
        await move_in(tmp_path, Address(url), lambda *_: None)
    assert "kana" not in f"{caught.value!r} {caught.value.__context__!r}"
    assert postgres.execute("SELECT count(*) FROM accounts", url) == [(0,)]
    assert (tmp_path / FILE).is_file()


def test_without_a_file_or_an_address_or_beside_a_server(tmp_path: Path, url: str) -> None:
    done = command(tmp_path, url=url)
    assert done.exit_code == 1 and "storage_missing" in done.stderr
    done = command(tmp_path)
    assert done.exit_code == 2 and "ECHOLIA_DIRECTORY_URL" in done.output
    (tmp_path / FILE).touch()
    lock = OwnerLock(tmp_path)
    try:
        done = command(tmp_path, url=url)
        assert done.exit_code == 1 and "storage_owned" in done.stderr
    finally:
        lock.release()


async def test_a_directory_in_both_places_is_not_served(tmp_path: Path, url: str) -> None:
    await lived_in(tmp_path, "anna", "gone")
    with pytest.raises(EcholiaError, match="directory_elsewhere"):
        async with served(tmp_path, directory_url=url):
            pass


async def test_restored_finds_the_accounts_there(tmp_path: Path, url: str) -> None:
    data = tmp_path / "data"
    async with served(data, directory_url=url) as ask:
        await Account("anna").register(ask)
        await Account("ben").register(ask)
    done = await restored(data, None, lambda *_: None, directory_url=url)
    assert (done.accounts, done.emptied, done.failed) == (2, 0, {})
