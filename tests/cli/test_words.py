"""Commands explain themselves at once, and wrong words end with 2 and a hint."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from echolia import __version__
from echolia.__main__ import ALL, cli
from echolia.client.cli.account import account
from tests.support.command_line import ECHOLIA, echolia, environment

HEAVY = ("aiohttp", "asyncio", "fastapi", "loro", "nacl", "pydantic", "rich", "sqlite3", "uvicorn", "yaml")


@pytest.mark.parametrize("name", ["--help", *(f"{name} --help" for name in ALL)])
def test_help_has_an_example(name: str) -> None:
    done = CliRunner().invoke(cli, name.split(), prog_name="echolia")
    assert done.exit_code == 0
    assert "Example: echolia" in done.output


def test_commands_of_a_device_all_take_the_shared_options() -> None:
    for name in set(ALL) - {
        "serve",
        "restored",
        "db",
        "directory",
        "payments",
        "jobs",
        "subscription",
        "demo",
        "account",
        "passphrase",
        "keychain",
    }:
        text = CliRunner().invoke(cli, [name, "--help"], prog_name="echolia").output
        assert all(option in text for option in ("--home", "--json", "--quiet")), name
    assert "delete" in account.commands


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, echolia.__main__ as entry\n"
        "try: entry.cli(['--help'], prog_name='echolia')\n"
        "except SystemExit: print(*[name for name in sys.argv[1:] if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, *HEAVY], capture_output=True, text=True, check=True)
    assert "Commands:" in done.stdout
    assert done.stderr.split() == []


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["lst"], "Did you mean `list`?"),
        (["biscuits"], "There is no such command."),
        (["show"], "Missing argument"),
        (["list", "--limit", "none"], "it takes a whole number"),
        (["list", "--limit", "0"], "0"),
        (["list", "--colour"], "No such option"),
        (["add", "x", "--collection", "cakes"], "cakes"),
        (["init", "--server", "ftp://example.org"], "https://"),
        (["init", "--server", "example"], "https://"),
        (["init", "--server", "http://[::1"], "https://"),
        (["init", "--server", "http://127.0.0.1:99999"], "https://"),
        (["init", "--server", "http://me:secret@127.0.0.1"], "https://"),
        (["import"], "Missing argument"),
        (["serve", "--port", "99999"], "99999"),
        (["account"], "delete"),
    ],
)
def test_wrong_words_end_with_2(words: list[str], hint: str) -> None:
    done = CliRunner().invoke(cli, words, prog_name="echolia")
    assert done.exit_code == 2
    assert hint in done.output
    assert "Traceback" not in done.output


def test_the_version_is_told() -> None:
    assert echolia("--version").stdout.decode().strip() == f"echolia {__version__}"


def test_a_wrong_setting_is_named_without_its_value() -> None:
    done = echolia("serve", ECHOLIA_THREADS="plenty")
    assert done.returncode == 1
    assert b"ECHOLIA_THREADS" in done.stderr
    assert b"[settings_invalid]" in done.stderr
    assert b"plenty" not in done.stderr


@pytest.mark.parametrize("words", [["lst", "--json"], ["list", "--limit", "0", "--json"], ["show", "--json"]])
def test_wrong_words_are_json_where_json_is_asked_for(words: list[str]) -> None:
    done = CliRunner().invoke(cli, words, prog_name="echolia")
    assert done.exit_code == 2
    assert json.loads(done.stderr)["error"]["code"] == "usage"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", ["add -", "add", "rm 00", "list", "list --json"])
def test_closed_standard_streams_are_like_empty_ones(closed: str, words: str, home: Path) -> None:
    command = f'exec "$0" -m echolia {words} {closed}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable],
        stdin=subprocess.DEVNULL, capture_output=True, env=environment(ECHOLIA_HOME=str(home)), check=False,
    )  # fmt: skip
    assert done.returncode in {0, 1, 2}
    assert b"Traceback" not in done.stderr
    assert echolia("list", home=home).returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_output_that_finds_no_room_is_told_once(home: Path) -> None:
    variables = environment(ECHOLIA_HOME=str(home))
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*ECHOLIA, "status"], stdout=full, stderr=subprocess.PIPE, env=variables, check=False
        )
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.endswith(b"[disk_full]\n")


def test_a_user_without_a_home_folder_is_told(tmp_path: Path) -> None:
    without = {name: value for name, value in environment().items() if name != "HOME"}
    code = "import os, pwd, sys; pwd.getpwuid = {}.__getitem__; from echolia.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "status"], capture_output=True, env=without, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert b"give --home" in done.stderr
