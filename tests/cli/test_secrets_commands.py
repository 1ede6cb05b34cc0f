"""A home under a passphrase, as a person and as a script use it; each wrong turn says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Json, Run
from tests.support.command_line import Terminal, echolia, in_process, started

PASSPHRASE = "correct horse battery"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file whose first line is the passphrase."""
    path = tmp_path / "passphrase"
    path.write_text(f"{PASSPHRASE}\r\nnothing that matters\n")
    return path


@pytest.fixture
def under(home: Path, run: Run, file: Path) -> Path:
    """A home under the passphrase."""
    done = run("passphrase", "set", "--new-file", str(file))
    assert (done.exit_code, done.stdout) == (0, "The secrets of this home are kept under a passphrase.\n")
    return home


def code_of(*words: str, home: Path, stdin: str = "", **more: str) -> str:
    """The code that a command fails with."""
    done = echolia(*words, "--json", home=home, stdin=stdin, **more)
    assert (done.returncode, done.stdout) == (1, b""), done.stderr
    assert b"Traceback" not in done.stderr
    code: str = json.loads(done.stderr)["error"]["code"]
    return code


def test_a_script_gives_it_by_a_file_or_standard_input(under: Path, file: Path) -> None:
    assert code_of("status", home=under) == "passphrase_needed"
    by_file = echolia("status", "--json", home=under, ECHOLIA_PASSPHRASE_FILE=str(file))
    assert json.loads(by_file.stdout)["secrets"] == "passphrase"
    # What follows the first line is the command's own.
    added = echolia(
        "add", "-", "--json", home=under, stdin=f"{PASSPHRASE}\nA note.", ECHOLIA_PASSPHRASE_FILE="-"
    )
    id_ = json.loads(added.stdout)["id"]
    shown = echolia("show", id_, "--json", home=under, ECHOLIA_PASSPHRASE_FILE=str(file))
    assert json.loads(shown.stdout)["fields"]["body"].strip() == "A note."


def test_the_wrong_one_is_told_and_changes_nothing(under: Path, file: Path, tmp_path: Path) -> None:
    before = (under / "vault").read_bytes()
    for stdin in ("wrong horse\n", "\n", "", PASSPHRASE[:-1], "\xff\n"):
        assert code_of("list", home=under, stdin=stdin, ECHOLIA_PASSPHRASE_FILE="-") == "passphrase_wrong"
    missing = str(tmp_path / "nowhere")
    assert code_of("list", home=under, ECHOLIA_PASSPHRASE_FILE=missing) == "os_enoent"
    done = echolia("list", home=under, stdin="a wrong horse\n", ECHOLIA_PASSPHRASE_FILE="-")
    assert done.stderr == b"echolia: This is not the passphrase of this home. Try again. [passphrase_wrong]\n"
    assert (under / "vault").read_bytes() == before


def test_it_is_changed_and_removed_by_a_script(under: Path, run_json: Json, file: Path) -> None:
    change = ("passphrase", "change", "--new-file", "-")
    stdin = f"{PASSPHRASE}\nbattery staple 2\n"
    assert code_of(*change, home=under, stdin=f"{PASSPHRASE}\nshort\n", ECHOLIA_PASSPHRASE_FILE="-") == (
        "passphrase_invalid"
    )
    done = echolia(*change, "--json", home=under, stdin=stdin, ECHOLIA_PASSPHRASE_FILE="-")
    assert json.loads(done.stdout) == {"secrets": "passphrase"}
    assert code_of("list", home=under, ECHOLIA_PASSPHRASE_FILE=str(file)) == "passphrase_wrong"
    done = echolia(
        "passphrase", "remove", home=under, stdin="battery staple 2\n", ECHOLIA_PASSPHRASE_FILE="-"
    )
    assert done.stdout == b"The secrets of this home are kept in a file that only this user can read.\n"
    assert run_json("status")["secrets"] == "file"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("passphrase change", "see echolia passphrase set"),
        ("passphrase remove", "see echolia passphrase set"),
        ("passphrase set", "--new-file"),
    ],
)
def test_a_home_without_one(words: str, hint: str, run: Run) -> None:
    done = run(*words.split())
    assert done.exit_code == 2
    assert hint in done.stderr


@pytest.mark.parametrize("words", ["passphrase set", "keychain use", "keychain leave"])
def test_a_home_that_has_one(words: str, under: Path, file: Path) -> None:
    done = echolia(*words.split(), home=under, ECHOLIA_PASSPHRASE_FILE=str(file))
    assert done.returncode == 2
    assert b"see echolia passphrase" in done.stderr


def test_a_machine_without_a_keychain(run: Run, run_json: Json) -> None:
    done = run("keychain", "use")
    assert done.exit_code == 1
    assert done.stderr.endswith("[keychain_unavailable]\n")
    assert run_json("keychain", "leave") == {"secrets": "file"}
    assert "secrets    in a file that only this user can read" in run("status").stdout


def test_a_new_home_says_how_it_keeps_them(server: str, tmp_path: Path) -> None:
    init = ("init", "--server", server, "--secrets")
    assert code_of(*init, "keychain", home=tmp_path / "one") == "keychain_unavailable"
    assert not (tmp_path / "one" / "vault").exists()
    assert in_process(*init, "file", home=tmp_path / "one").exit_code == 0
    assert in_process(*init, "passphrase", home=tmp_path / "two").exit_code == 2


def test_it_is_never_an_argument(run: Run) -> None:
    for command in ("set", "change", "remove"):
        assert run("passphrase", command, PASSPHRASE).exit_code == 2
    assert run("status", "--passphrase", PASSPHRASE).exit_code == 2


@pytest.mark.slow
def test_a_person_is_asked_and_it_is_not_shown(home: Path) -> None:
    setting = Terminal("passphrase", "set", home=home)
    setting.wait_for("of 8 characters or more:")
    setting.type(f"{PASSPHRASE}\n")
    setting.wait_for("The same again:")
    setting.type("something else\n")
    setting.wait_for("nothing was changed")
    assert setting.end() == 2
    setting = Terminal("passphrase", "set", home=home)
    for question in ("of 8 characters or more:", "The same again:"):
        setting.wait_for(question)
        setting.type(f"{PASSPHRASE}\n")
    setting.wait_for("kept under a passphrase")
    assert setting.end() == 0
    status = Terminal("status", home=home)
    status.wait_for("The passphrase of this home:")
    status.type(f"{PASSPHRASE}\n")
    status.wait_for("secrets    under a passphrase")
    assert status.end() == 0
    wrong = Terminal("status", home=home)
    wrong.wait_for("The passphrase of this home:")
    wrong.type("wrong horse\n")
    wrong.wait_for("[passphrase_wrong]")
    assert wrong.end() == 1
    for terminal in (setting, status, wrong):
        assert "horse" not in terminal.shown and "Traceback" not in terminal.shown


@pytest.mark.slow
def test_control_c_while_it_asks(under: Path) -> None:
    status = Terminal("status", home=under)
    status.wait_for("The passphrase of this home:")
    assert status.interrupt() in {1, 130}
    assert "Traceback" not in status.shown


@pytest.mark.slow
def test_a_passphrase_in_a_pipe_that_comes_late(under: Path) -> None:
    process = started("status", "--json", home=under, ECHOLIA_PASSPHRASE_FILE="-")
    assert process.stdin is not None
    process.stdin.write(f"{PASSPHRASE}\n")
    process.stdin.flush()
    out, errors = process.communicate(timeout=60)
    assert json.loads(out)["secrets"] == "passphrase", errors
