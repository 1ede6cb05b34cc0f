"""Commands explain themselves at once, and wrong words end with 2 and a hint."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from echolia import __version__
from echolia.__main__ import ALL, cli
from echolia.client.cli.account import account
from tests.support.command_line import echolia

HEAVY = ("aiohttp", "asyncio", "fastapi", "loro", "nacl", "pydantic", "rich", "sqlite3", "uvicorn", "yaml")


@pytest.mark.parametrize("name", ["--help", *(f"{name} --help" for name in ALL)])
def test_help_has_an_example(name: str) -> None:
    done = CliRunner().invoke(cli, name.split(), prog_name="echolia")
    assert done.exit_code == 0
    assert "Example: echolia" in done.output


def test_commands_of_a_device_all_take_the_shared_options() -> None:
    for name in set(ALL) - {"serve", "demo", "account"}:
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
        (["list", "--limit", "none"], "not a valid integer"),
        (["list", "--limit", "0"], "0"),
        (["list", "--colour"], "No such option"),
        (["add", "x", "--collection", "cakes"], "cakes"),
        (["init", "--server", "ftp://example.org"], "https://"),
        (["init", "--server", "example"], "https://"),
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
