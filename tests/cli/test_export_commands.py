"""Leaving by the command line: one file, plain folders, and the way in elsewhere, wrong turns included."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Json, Run
from tests.support.command_line import Terminal, in_process, result
from tests.support.exports import held

PASSPHRASE = "a heron at the weir"


@pytest.fixture
def leaving(server: str, tmp_path: Path) -> tuple[Path, str]:
    """A home with an account of its own, and its phrase."""
    home = tmp_path / "leaving"
    phrase: str = result("init", "--server", server, home=home)["phrase"]
    result("add", "Rain again.", "--title", "Monday", "--tag", "weather", home=home)
    result("add", "--collection", "memories", "It rains on Mondays.", home=home)
    result("rm", "--yes", result("add", "Gone.", home=home)["id"], home=home)
    result("sync", home=home)
    return home, phrase


def failed(*words: str, home: Path, stdin: str = "") -> str:
    """The code of a command that must fail in one line."""
    done = in_process(*words, home=home, stdin=stdin)
    assert done.exit_code in {1, 2}
    if done.exit_code == 1:
        assert done.stderr.count("echolia: ") == 1 and "Traceback" not in done.stderr, done.stderr
    return done.stderr.rpartition("[")[2].rstrip("]\n") if done.exit_code == 1 else "usage"


def test_one_file_out_and_in(leaving: tuple[Path, str], home: Path, tmp_path: Path) -> None:
    old, phrase = leaving
    target = tmp_path / "diary.echolia"
    done = in_process("export", str(target), home=old)
    assert done.exit_code == 0, done.stderr
    assert "3 objects and 1 signed runs in diary.echolia" in done.stdout
    assert "24 words open it" in done.stdout
    before = result("list", home=home)["records"]
    report = result("import", str(target), home=home, stdin=f"{phrase}\n")
    assert {name: report[name] for name in ("new", "updated", "unchanged")} == {
        "new": 3, "updated": 0, "unchanged": 0,
    }  # fmt: skip
    assert (report["skipped"], report["runs"]) == ([], 1)
    titles = {one["title"] for one in result("list", home=home)["records"]}
    assert titles == {one["title"] for one in before} | {"Monday"}
    again = in_process("import", str(target), home=home, stdin=phrase)
    assert again.stdout.startswith("0 new, 0 updated, 3 unchanged, 0 skipped.\n1 signed runs of account ")
    [kept] = result("archives", home=home)["archives"]
    assert kept["file"] == report["archive"]
    assert kept["account"] == result("status", home=old)["account"]
    assert Path(kept["file"]).read_bytes() == target.read_bytes()
    assert str(kept["file"]) in in_process("archives", home=home).stdout


def test_its_report_as_json_and_what_is_missing(leaving: tuple[Path, str], tmp_path: Path) -> None:
    home, phrase = leaving
    result("add", "Not sent.", home=home)
    report = result("export", "--offline", str(tmp_path / "out"), home=home)
    assert (report["incomplete"], report["evidence_seq"], report["runs"], report["unsent"]) == (
        "offline",
        None,
        0,
        1,
    )
    assert report["objects"] == {"entries": 3, "memories": 1}
    assert held(tmp_path / "out", phrase).counts["object"] == 4
    told = in_process("export", "--offline", "--force", str(tmp_path / "out"), home=home).stdout
    assert "no evidence" in told and "1 changes that were not sent yet" in told


def test_wrong_turns(leaving: tuple[Path, str], home: Path, tmp_path: Path) -> None:
    old, phrase = leaving
    target = str(tmp_path / "out")
    result("export", "--passphrase", target, home=old, stdin=f"{PASSPHRASE}\n")
    assert failed("export", target, home=old) == "export_exists"
    assert failed("export", home=old) == "usage"
    assert failed("export", target, "--plain", str(tmp_path / "x"), home=old) == "usage"
    assert failed("export", "--plain", str(tmp_path / "x"), "--offline", home=old) == "usage"
    assert failed("export", "--passphrase", f"{target}2", home=old, stdin="short\n") == "passphrase_invalid"
    assert failed("export", str(tmp_path / "nowhere" / "out"), home=old) == "os_enoent"
    assert failed("import", target, home=old, stdin=phrase) == "export_own"
    assert failed("import", target, home=home, stdin="a passphrase of another") == "export_locked"
    assert failed("import", target, home=home, stdin=phrase.replace(" ", " x ", 1)) == "export_locked"
    assert failed("import", target, home=home, stdin=" ".join(phrase.split()[::-1])) in {
        "phrase_invalid",
        "export_locked",
    }
    assert failed("import", target, home=home) == "export_locked"
    raw = Path(target).read_bytes()
    (tmp_path / "cut").write_bytes(raw[: len(raw) // 2])
    assert failed("import", str(tmp_path / "cut"), home=home, stdin=phrase) == "export_invalid"
    (tmp_path / "newer").write_bytes(raw[:16] + b"\x02" + raw[17:])
    assert failed("import", str(tmp_path / "newer"), home=home, stdin=phrase) == "unsupported_version"
    (tmp_path / "no.txt").write_text("no export")
    assert failed("import", "--format", "export", str(tmp_path / "no.txt"), home=home) == "export_invalid"
    assert result("archives", home=home) == {"archives": []}
    assert result("import", target, home=home, stdin=PASSPHRASE)["new"] == 3


def test_at_a_terminal_the_passphrase_is_asked_for_twice_and_never_shown(
    leaving: tuple[Path, str], home: Path, tmp_path: Path
) -> None:
    old, phrase = leaving
    target = str(tmp_path / "out")
    terminal = Terminal("export", "--passphrase", target, home=old)
    terminal.wait_for("A passphrase for the file:")
    terminal.type(f"{PASSPHRASE}\n")
    terminal.wait_for("The same again:")
    terminal.type("another one\n")
    for asked in ("A passphrase for the file:", "The same again:"):
        while terminal.shown.count(asked) < 2:
            assert terminal._read()
        terminal.type(f"{PASSPHRASE}\n")
    assert terminal.end() == 0, terminal.shown
    assert PASSPHRASE not in terminal.shown
    assert held(Path(target), PASSPHRASE).objects == held(Path(target), phrase).objects
    terminal = Terminal("import", target, home=home)
    terminal.wait_for("Its 24 words, or its passphrase:")
    terminal.type(f"{PASSPHRASE}\n")
    assert terminal.end() == 0, terminal.shown
    assert "3 new" in terminal.shown
    assert PASSPHRASE not in terminal.shown


def test_at_a_terminal_the_words_are_seen(leaving: tuple[Path, str], home: Path, tmp_path: Path) -> None:
    old, phrase = leaving
    result("export", str(tmp_path / "out"), home=old)
    terminal = Terminal("import", str(tmp_path / "out"), home=home)
    terminal.wait_for("The 24 words of the account it was made from:")
    terminal.type(f"{phrase}\n")
    assert terminal.end() == 0, terminal.shown
    assert "3 new" in terminal.shown


def test_a_plain_folder_can_be_imported_again(
    leaving: tuple[Path, str], run: Run, run_json: Json, tmp_path: Path
) -> None:
    home, _ = leaving
    folder = tmp_path / "plain"
    assert failed("export", "--plain", str(folder), home=home) == "usage"  # nobody can be asked
    done = in_process("export", "--plain", str(folder), "--yes", home=home)
    assert done.exit_code == 0
    assert "nothing in it is encrypted" in done.stderr
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    [entry] = (folder / "entries").iterdir()
    assert entry.read_text().startswith('---\ntitle: "Monday"\n')
    assert {path.name for path in (folder / "collections").iterdir()} == {"memories.json", "_trash.json"}
    memories: list[dict[str, Any]] = json.loads((folder / "collections" / "memories.json").read_text())
    assert [one["fields"]["content"] for one in memories] == ["It rains on Mondays."]
    assert failed("export", "--plain", str(folder), "--yes", home=home) == "export_exists"
    assert run_json("import", str(folder))["new"] == 1
    [record] = [one for one in run_json("list")["records"] if one["title"] == "Monday"]
    shown = run_json("show", record["id"])
    assert (shown["fields"]["body"], shown["fields"]["tags"]) == ("Rain again.", ["weather"])
    assert run_json("import", str(folder))["unchanged"] == 1
