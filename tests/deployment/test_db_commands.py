"""`echolia db`: what each command prints, for people and for programs, on a stopped server's folder."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from echolia.__main__ import cli
from echolia.operator.local import operating
from echolia.storage.databases import FILES
from echolia.storage.engine import FileDriver
from echolia.storage.file_homes import files_alone
from echolia.storage.migrate import Migration
from echolia.storage.owner_lock import OwnerLock
from echolia.storage.provisioner import Provisioner
from echolia.storage.sqlite.provisioner import Files
from echolia.storage.sqlite.user_files import user_path
from tests.support.accounts import Account
from tests.support.server import served

ANNA, BEN = Account("anna"), Account("ben")
USER = ANNA.id.hex()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A stopped server's data, with two accounts."""

    async def registered() -> None:
        async with served(tmp_path / "data") as ask:
            for account in (ANNA, BEN):
                await account.register(ask)

    asyncio.run(registered())
    return tmp_path / "data"


def command(data: Path, *words: str) -> Result:
    """What the command line answers."""
    group, *rest = words
    return CliRunner().invoke(cli, ["db", group, "--data", str(data), *rest], prog_name="echolia")


def told(data: Path, *words: str) -> dict[str, Any]:
    """The same in JSON."""
    answer = command(data, *words, "--json")
    value: dict[str, Any] = json.loads(answer.stdout or answer.stderr)
    return value


def two_folders(data: Path, driver: FileDriver, migrations: Sequence[Migration]) -> Mapping[str, Provisioner]:
    """A server whose accounts may lie on a second disk."""
    return {**files_alone(data, driver, migrations), "other": Files(data / "other", driver, migrations)}


def test_they_are_listed(data: Path) -> None:
    lines = command(data, "list").stdout.splitlines()
    assert [line.split("\t")[:2] for line in lines] == sorted([[USER, FILES], [BEN.id.hex(), FILES]])
    page = told(data, "list", "--most", "1")
    assert len(page["databases"]) == 1
    assert told(data, "list", "--after", page["next"])["next"] is None
    assert "--after" in command(data, "list", "--most", "1").stderr
    assert told(data, "list", "--home", "other")["databases"] == []


def test_one_is_shown(data: Path) -> None:
    shown = told(data, "show", USER[:8])
    assert (shown["account"], shown["home"], shown["counts"]["runs"]) == (USER, FILES, 0)
    text = command(data, "show", USER[:8]).stdout
    assert f"account {USER}" in text and "0 runs" in text


def test_one_is_kept_exported_and_restored(data: Path, tmp_path: Path) -> None:
    name = told(data, "snapshot", USER)["name"]
    assert name in command(data, "show", USER).stdout
    file = tmp_path / "anna.db"
    assert command(data, "export", USER, str(file)).exit_code == 0
    with sqlite3.connect(file) as plain:
        assert plain.execute("SELECT account FROM account").fetchall() == [(ANNA.id,)]
    plain.close()
    for what in (name, str(file)):
        assert told(data, "restore", USER, what)["error"]["code"] == "storage_exists"
        assert told(data, "restore", USER, what, "--replace")["former"]
    assert told(data, "restore", BEN.id.hex(), str(file), "--replace")["error"]["code"] == "storage_damaged"
    assert told(data, "check") == {"checked": 2, "findings": []}


def test_a_check_that_finds_something_ends_with_1(data: Path) -> None:
    assert command(data, "check").exit_code == 0
    user_path(data / "users", ANNA.id).unlink()
    answer = command(data, "check")
    assert answer.exit_code == 1
    assert f"{USER} files: fails [storage_missing]" in answer.stdout
    assert command(data, "check", BEN.id.hex()).exit_code == 0


def test_one_is_blocked_and_served_again(data: Path) -> None:
    assert command(data, "block", USER).stdout == "Blocked.\n"
    assert "\tblocked" in command(data, "list", "--blocked").stdout
    asyncio.run(refused(data))
    assert told(data, "unblock", USER)["blocked"] is False
    assert told(data, "list", "--blocked")["databases"] == []


async def refused(data: Path) -> None:
    """The account's device is told that it is blocked, and may delete the account nevertheless."""
    async with served(data) as ask:
        access = (await ANNA.sign_in(ask)).json()["access"]
        answer = await ask("GET", "/sync/status", token=access)
        assert (answer.status, answer.code) == (403, "database_blocked")


def test_a_move_says_what_it_did(data: Path) -> None:
    said = told(data, "move", USER, "--to", FILES)
    assert (said["source"], said["home"]) == (FILES, FILES)
    assert "nothing is left of any move" in command(data, "move", USER, "--to", FILES).stdout
    assert told(data, "move", USER, "--to", "other")["error"]["code"] == "home_unknown"


def test_to_a_second_folder_and_back(data: Path) -> None:
    async def moved(to: str) -> None:
        async with operating(data, two_folders) as operator:
            *_, last = [event async for event in operator.move(USER, to)]
            assert last["result"]["home"] == to

    asyncio.run(moved("other"))
    assert user_path(data / "other", ANNA.id).exists()
    # A server that is told of no second folder says so, and touches nothing.
    assert told(data, "show", USER)["error"] == "home_unknown"
    asyncio.run(moved(FILES))
    assert told(data, "check") == {"checked": 2, "findings": []}


def test_what_cannot_be_is_named(data: Path, tmp_path: Path) -> None:
    assert "[storage_missing]" in command(tmp_path / "nothing", "list").output
    assert not (tmp_path / "nothing").exists()
    assert told(data, "show", "123")["error"]["code"] == "invalid_request"
    assert told(data, "show", "0" * 32)["error"]["code"] == "account_unknown"
    assert command(data, "move", USER).exit_code == 2
    lock = OwnerLock(data)
    answer = command(data, "list")
    assert "does not answer; stop it" in answer.output and "[storage_owned]" in answer.output
    lock.release()
