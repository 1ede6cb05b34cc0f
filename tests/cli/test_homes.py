"""A home that is missing, damaged, newer, in use or in the way is told in one line with a code."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from echolia.__main__ import ALL
from tests.cli.conftest import Json, Run
from tests.support.command_line import (
    ECHOLIA,
    echolia,
    environment,
    finished,
    result,
    started,
    wait_until_locked,
)

WORDS = {
    "import": [".", "--format", "markdown"],
    "show": ["00"],
    "add": ["x"],
    "edit": ["00", "x"],
    "rm": ["00", "--yes"],
    "restore": ["00"],
    "history": ["00"],
    "resolve": ["00", "--take", "1"],
    "search": ["x"],
    "ask": ["x"],
    "revoke": ["00", "--yes"],
    "confirm": ["00"],
    "export": ["out.echolia"],
    "phrase": ["--yes"],
    "account": ["delete", "--confirm", "00"],
    "passphrase": ["set"],
    "keychain": ["use"],
    "subscription": ["show"],
}
OTHERS = {"serve", "restored", "db", "directory", "payments", "jobs", "init", "join", "recover", "demo"}
LOCAL = [name for name in ALL if name not in OTHERS]


@pytest.mark.parametrize("name", LOCAL)
def test_every_command_says_that_there_is_no_home(name: str, run: Run, home: Path) -> None:
    home.rename(home.with_name("elsewhere"))
    done = run(name, *WORDS.get(name, []))
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("echolia: There is no Echolia home here.")
    assert done.stderr.endswith("[home_missing]\n")
    assert not home.exists()


@pytest.mark.parametrize("name", ["list", "sync", "pair"])
def test_with_json_a_failure_is_json_on_standard_error(name: str, run: Run, home: Path) -> None:
    home.rename(home.with_name("elsewhere"))
    done = run(name, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stderr)["error"]["code"] == "home_missing"


def test_a_damaged_home_is_told(run: Run, home: Path) -> None:
    for file in home.glob("echolia.db*"):
        file.unlink()
    (home / "echolia.db").write_bytes(b"not a database at all" * 1000)
    done = run("list")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.endswith("[home_damaged]\n")


def test_a_damaged_vault_is_told(run: Run, home: Path) -> None:
    (home / "vault").write_bytes(b"\xff")
    assert run("list").stderr.endswith("[home_damaged]\n")


def test_a_newer_home_is_told(run: Run, home: Path) -> None:
    with sqlite3.connect(home / "echolia.db") as database:
        database.execute("PRAGMA user_version = 999999")
    database.close()
    assert run("list").stderr.endswith("[home_newer]\n")


def test_a_home_that_is_a_file_is_wrong_words(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert run("list", "--home", str(tmp_path / "file")).exit_code == 2


def test_a_home_is_not_overwritten(server: str, run: Run, run_json: Json) -> None:
    before = run_json("status")["account"]
    assert run("init", "--server", server).stderr.endswith("[home_exists]\n")
    assert run_json("status")["account"] == before


def test_a_home_is_for_its_owner_alone(home: Path, run_json: Json) -> None:
    run_json("add", "x")
    for path in [home, *home.iterdir()]:
        if path.name != "home":
            assert path.stat().st_mode & 0o077 == 0, path.name


def test_a_full_disk_loses_nothing(home: Path, run_json: Json) -> None:
    made = run_json("add", "kept")["id"]
    line = f"ulimit -f 64; head -c 200000 /dev/urandom | base64 | {' '.join(ECHOLIA)} add -"
    done = subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        env=environment(ECHOLIA_HOME=str(home)),
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.endswith("[disk_full]\n")
    assert "Traceback" not in done.stderr
    assert [one["id"] for one in run_json("list")["records"]] == [made]


@pytest.mark.slow
def test_two_commands_on_one_home_do_not_meet(new_home: Path) -> None:
    watch = started("watch", home=new_home)
    wait_until_locked(new_home)
    done = echolia("add", "x", home=new_home)
    assert done.returncode == 1
    assert done.stderr.endswith(b"[home_locked]\n")
    watch.send_signal(signal.SIGINT)
    code, errors = finished(watch)
    assert code == 130
    assert "Traceback" not in errors
    assert result("add", "x", home=new_home)["id"]
