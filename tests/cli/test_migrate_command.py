"""`echolia db migrate` on the folder of a stopped server."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from echolia.__main__ import cli
from echolia.storage.migrate import load_migrations
from echolia.storage.owner_lock import OwnerLock
from echolia.storage.sqlite.user_files import user_path
from tests.fixtures.story import NAME
from tests.support import former
from tests.support.accounts import Account

LATEST = len(load_migrations("user"))
ANNA, BERT = Account(NAME).id, Account("bert").id


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What the first release left of two accounts; in Bert's database is something that nobody expects."""
    former.make("directory", 1, tmp_path / "directory.db")
    for account in (ANNA, BERT):
        former.make("user", 1, user_path(tmp_path / "users", account))
    with closing(sqlite3.connect(user_path(tmp_path / "users", BERT))) as db:
        db.execute("UPDATE account SET account = ?", (BERT,))
        db.execute("CREATE TABLE checkpoints (surprise)")
        db.commit()
    return tmp_path


def command(data: Path, *words: str) -> Result:
    """What the command line answers."""
    words = ("db", "migrate", "--data", str(data), *words)
    return CliRunner().invoke(cli, words, prog_name="echolia")


def told(data: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """The same in JSON, and its exit code."""
    result = command(data, "--json", *words)
    return result.exit_code, json.loads(result.stdout)


def version(data: Path, account: bytes) -> int:
    """The last migration of an account's database."""
    with closing(sqlite3.connect(user_path(data / "users", account))) as db:
        ((found,),) = db.execute("SELECT max(version) FROM schema_migrations").fetchall()
        return int(found)


def mended(data: Path) -> None:
    """Take out what nobody expects."""
    with closing(sqlite3.connect(user_path(data / "users", BERT))) as db:
        db.execute("DROP TABLE checkpoints")


def test_all_are_migrated_and_what_fails_is_named(data: Path) -> None:
    code, stands = told(data)
    # One of two is more than may fail: whoever is next decides whether the rest follows.
    assert (code, stands["paused"], stands["quarantined"]) == (1, "canary", 1)
    assert stands["failures"] == [{"account": BERT.hex(), "version": 1, "code": "storage_failed"}]
    assert (version(data, BERT), stands["version"]) == (1, LATEST)
    told(data, "--resume")
    mended(data)
    code, stands = told(data, "--retry-failed")
    assert (code, stands["quarantined"], stands["failures"]) == (0, 0, [])
    code, stands = told(data)
    assert (code, stands["behind"], stands["paused"]) == (0, 0, None)
    assert (version(data, ANNA), version(data, BERT)) == (LATEST, LATEST)


def test_one_alone_though_all_are_paused(data: Path) -> None:
    assert told(data, "--pause")[1]["paused"] == "operator"
    assert told(data)[0] == 1
    assert (version(data, ANNA), told(data, "--status")[1]["behind"]) == (1, 2)
    code, stands = told(data, ANNA.hex()[:6])
    assert (code, stands["behind"], version(data, ANNA)) == (0, 1, LATEST)
    failed = command(data, BERT.hex())
    assert (failed.exit_code, "database_quarantined" in failed.output) == (1, True)
    assert told(data, "--status")[1]["paused"] == "operator"
    mended(data)
    assert told(data, BERT.hex())[1]["quarantined"] == 0


def test_people_read_how_it_stands(data: Path) -> None:
    shown = command(data)
    assert "databases" in shown.stderr
    assert f"Version {LATEST}: " in shown.stdout
    assert "Paused, because too many of them failed." in shown.stdout
    assert f"{BERT.hex()} failed [storage_failed]" in shown.stdout
    user_path(data / "users", ANNA).unlink()
    mended(data)
    for words in ("--retry-failed", "--resume"):
        command(data, words)
    assert "1 wait and will be tried again [storage_missing]" in command(data).stdout


def test_wrong_words_and_a_running_server(data: Path) -> None:
    assert command(data, "--status", ANNA.hex()).exit_code == 2
    lock = OwnerLock(data)
    refused = command(data, "--status")
    lock.release()
    assert (refused.exit_code, "storage_owned" in refused.output) == (1, True)
