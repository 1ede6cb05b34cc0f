"""Importing can be repeated, keeps what people did meanwhile, and names what it leaves out."""

from __future__ import annotations

import json
import random
import zipfile
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Json, Run
from tests.cli.importing.test_day_one_reader import ENTRY, journal
from tests.support.command_line import Terminal

COUNTS = ("new", "updated", "unchanged")


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    """A folder of three notes."""
    folder = tmp_path / "diary"
    (folder / "2024").mkdir(parents=True)
    (folder / "2024" / "one.md").write_bytes(b"\xef\xbb\xbf---\ntitle: One\ntags: [sea]\n---\r\nBody one\r\n")
    (folder / "two.md").write_bytes(b"# Two\n\nBody two")
    (folder / "three.txt").write_bytes(b"Body three\n")
    return folder


def counts(report: dict[str, Any]) -> tuple[int, ...]:
    """New, updated, unchanged, skipped."""
    return (*(report[name] for name in COUNTS), len(report["skipped"]))


def titled(run_json: Json, title: str) -> dict[str, Any]:
    """The whole record with that title."""
    found = [one for one in run_json("list")["records"] if one["title"] == title]
    assert len(found) == 1
    return run_json("show", found[0]["id"])


def test_twice_is_once(diary: Path, run: Run, run_json: Json) -> None:
    assert counts(run_json("import", str(diary))) == (3, 0, 0, 0)
    before = {one["id"] for one in run_json("list")["records"]}
    assert counts(run_json("import", str(diary))) == (0, 0, 3, 0)
    assert {one["id"] for one in run_json("list")["records"]} == before
    for name, title in [("2024/one.md", "One"), ("two.md", "Two"), ("three.txt", "three")]:
        shown = run("show", titled(run_json, title)["id"], "--raw")
        assert shown.stdout_bytes == (diary / name).read_bytes()
    assert titled(run_json, "One")["tags"] == ["sea"]


def test_a_file_that_changed_is_an_edit(diary: Path, run: Run, run_json: Json) -> None:
    run_json("import", str(diary))
    (diary / "2024" / "one.md").write_text("---\ntitle: One more\ntags: [sun]\n---\nBody one, longer\n")
    assert counts(run_json("import", str(diary))) == (0, 1, 2, 0)
    shown = titled(run_json, "One more")
    assert (shown["fields"]["body"], shown["tags"]) == ("Body one, longer\n", ["sun"])
    assert counts(run_json("import", str(diary))) == (0, 0, 3, 0)


def test_what_was_done_here_stays(diary: Path, run: Run, run_json: Json) -> None:
    run_json("import", str(diary))
    two = titled(run_json, "Two")["id"]
    run_json("edit", two, "--title", "Mine", "--tag", "mine", "--star")
    run_json("edit", titled(run_json, "three")["id"], "Body three, edited here")
    run_json("rm", titled(run_json, "One")["id"], "--yes")
    (diary / "two.md").write_bytes(b"# Two\n\nBody two, edited there")
    (diary / "three.txt").write_bytes(b"Body three, edited there\n")
    (diary / "2024" / "one.md").write_bytes(b"back?")
    report = run_json("import", str(diary))
    assert counts(report) == (0, 1, 0, 2)
    assert {one["name"]: one["code"] for one in report["skipped"]} == {
        "three.txt": "import_edited",
        "2024/one.md": "object_in_trash",
    }
    shown = run_json("show", two)
    assert (shown["title"], shown["tags"], shown["fields"]["starred"]) == ("Mine", ["mine"], True)
    assert shown["fields"]["body"] == "# Two\n\nBody two, edited there"
    assert titled(run_json, "three")["fields"]["body"] == "Body three, edited here"


def test_the_same_edit_on_both_sides_is_no_quarrel(diary: Path, run_json: Json) -> None:
    run_json("import", str(diary))
    run_json("edit", titled(run_json, "three")["id"], "The same")
    (diary / "three.txt").write_bytes(b"The same")
    assert counts(run_json("import", str(diary))) == (0, 1, 2, 0)


def test_bad_yaml_is_kept_and_noted(tmp_path: Path, run: Run, run_json: Json) -> None:
    (tmp_path / "bad.md").write_bytes(b"---\ntitle: [\n---\nBody")
    report = run_json("import", str(tmp_path / "bad.md"))
    assert counts(report) == (1, 0, 0, 0)
    assert [one["name"] for one in report["noted"]] == ["bad.md"]
    assert run("show", titled(run_json, "bad")["id"], "--raw").stdout_bytes == b"---\ntitle: [\n---\nBody"


def test_what_leads_outside_is_named_and_not_read(
    diary: Path, tmp_path: Path, run: Run, run_json: Json
) -> None:
    (tmp_path / "secret.md").write_text("canary")
    (diary / "link.md").symlink_to(tmp_path / "secret.md")
    done = run("import", str(diary))
    assert done.exit_code == 0
    assert "3 new, 0 updated, 0 unchanged, 1 skipped." in done.stdout
    assert "skipped link.md: a link; links are not followed [import_outside]" in done.stderr
    assert run_json("search", "canary")["found"] == []

    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("../../outside.json", journal(ENTRY))
        archive.writestr("Journal.json", journal(ENTRY))
    report = run_json("import", str(tmp_path / "export.zip"))
    assert counts(report) == (1, 0, 0, 1)
    assert report["skipped"][0]["code"] == "import_outside"


def test_an_import_of_which_nothing_came_is_a_failure(tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "torn"
    folder.mkdir()
    (folder / "torn.md").write_bytes(b"\xff\xfe no text")
    done = run("import", str(folder))
    assert done.exit_code == 1
    assert "0 new, 0 updated, 0 unchanged, 1 skipped." in done.stdout
    assert done.stderr.splitlines()[-1].endswith("[import_unreadable]")


def test_a_day_one_export_and_a_later_one(tmp_path: Path, run_json: Json) -> None:
    (tmp_path / "Journal.json").write_bytes(journal(ENTRY))
    assert counts(run_json("import", str(tmp_path / "Journal.json"))) == (1, 0, 0, 0)
    later = journal(ENTRY | {"text": "# By the sea\n\nWarm.", "starred": False}, ENTRY | {"uuid": "B" * 32})
    (tmp_path / "Journal.json").write_bytes(later)
    assert counts(run_json("import", str(tmp_path / "Journal.json"))) == (1, 1, 0, 0)
    fields = [run_json("show", one["id"])["fields"] for one in run_json("list")["records"]]
    assert sorted(field["starred"] for field in fields) == [False, True]
    assert all(field["meta"]["weather"] == {"temperatureCelsius": 11} for field in fields)
    assert all(field["created"] == 1_556_971_200_000 for field in fields)


def test_another_folder_of_the_same_name_can_be_told_apart(
    diary: Path, tmp_path: Path, run_json: Json
) -> None:
    other = tmp_path / "other" / "diary"
    other.mkdir(parents=True)
    (other / "two.md").write_text("quite another two")
    run_json("import", str(diary))
    assert counts(run_json("import", str(other), "--as", "other diary")) == (1, 0, 0, 0)


def test_more_notes_than_one_transaction_holds(tmp_path: Path, run_json: Json) -> None:
    for number in range(600):
        (tmp_path / f"{number}.md").write_text(f"note {number}")
    assert counts(run_json("import", str(tmp_path))) == (600, 0, 0, 0)
    assert run_json("list", "--limit", "1")["total"] == 600


def test_the_largest_note_comes_in_and_changes(tmp_path: Path, run: Run, run_json: Json) -> None:
    letters = random.Random(1)
    for expected in [(1, 0, 0, 0), (0, 1, 0, 0)]:
        content = b64encode(letters.randbytes(675 * 1024))
        assert len(content) == 900 * 1024
        (tmp_path / "large.md").write_bytes(content)
        assert counts(run_json("import", str(tmp_path))) == expected
        assert run("show", titled(run_json, "large")["id"], "--raw").stdout_bytes == content


@pytest.mark.parametrize("path", ["nothing", "picture.png"])
def test_what_cannot_be_imported_fails(path: str, tmp_path: Path, run: Run) -> None:
    (tmp_path / "picture.png").write_bytes(b"x")
    done = run("import", str(tmp_path / path), "--json")
    assert done.exit_code == 1
    assert json.loads(done.stderr)["error"]["code"] == "import_unreadable"
    assert done.stdout == ""


@pytest.mark.slow
def test_an_interrupted_import_is_run_again(tmp_path: Path, home: Path, run_json: Json) -> None:
    for number in range(2000):
        (tmp_path / f"{number}.md").write_text(f"note {number} " * 50)
    terminal = Terminal("import", str(tmp_path), home=home)
    terminal.wait_for("256/2000")
    assert terminal.interrupt() == 130
    assert "Traceback" not in terminal.shown
    have = run_json("list", "--limit", "1")["total"]
    assert 256 <= have < 2000
    assert counts(run_json("import", str(tmp_path))) == (2000 - have, 0, have, 0)
