"""Things are written, shown, changed, deleted and found, by people and by scripts, without a server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Json, Run
from tests.support.command_line import Terminal, echolia


def test_a_note_s_life(run: Run, run_json: Json) -> None:
    made = run_json("add", "Rain again.\n", "--title", "Monday", "--tag", "weather", "--tag", "weather")["id"]
    shown = run_json("show", made[:8])
    assert shown["fields"]["body"] == "Rain again.\n"
    assert (shown["title"], shown["tags"], shown["flags"]) == ("Monday", ["weather"], ["pending"])

    run_json("edit", made, "Sun.", "--title", "Tuesday", "--untag", "weather", "--tag", "sun", "--star")
    shown = run_json("show", made)
    assert (shown["title"], shown["fields"]["body"], shown["tags"]) == ("Tuesday", "Sun.", ["sun"])
    assert shown["fields"]["starred"] is True

    assert run("rm", made).exit_code == 2  # nobody to ask
    run_json("rm", made, "--yes")
    assert run_json("list")["total"] == 0
    assert [one["id"] for one in run_json("list", "--trash")["records"]] == [made]
    assert run("edit", made, "x").exit_code == 1
    run_json("restore", made)
    assert run_json("list")["total"] == 1


def test_text_comes_from_argument_file_or_standard_input(run: Run, run_json: Json, tmp_path: Path) -> None:
    (tmp_path / "note.md").write_bytes("# Wörter\r\n\r\nText".encode())
    by_file = run_json("add", "--file", str(tmp_path / "note.md"))["id"]
    by_input = run_json("add", "-", stdin="from a pipe")["id"]
    assert run("show", by_file, "--raw").stdout_bytes == "# Wörter\r\n\r\nText".encode()
    assert run_json("show", by_file)["title"] == "Wörter"
    assert run_json("show", by_input)["fields"]["body"] == "from a pipe"
    assert run("add", "text", "--file", str(tmp_path / "note.md")).exit_code == 2
    assert run("add").exit_code == 2
    assert "[import_unreadable]" in run("add", "-", stdin=b"\xff").stderr
    assert "[os_enoent]" in run("add", "--file", str(tmp_path / "nothing.md")).stderr


def test_memories_and_tags_have_a_text_too(run: Run, run_json: Json) -> None:
    memory = run_json("add", "likes herons", "--collection", "memories")["id"]
    tag = run_json("add", "river", "--collection", "tags")["id"]
    run_json("edit", memory, "loves herons")
    assert run_json("show", memory)["title"] == "loves herons"
    assert run_json("list", "--collection", "tags")["records"][0]["id"] == tag
    assert run("add", "x", "--collection", "tags", "--title", "y").exit_code == 2
    assert run("edit", tag, "--star").exit_code == 2


def test_ids_may_be_short_but_not_ambiguous(run: Run, run_json: Json) -> None:
    ids = [run_json("add", f"note {number}")["id"] for number in range(17)]
    shared = next(one[0] for one in ids if sum(other[0] == one[0] for other in ids) > 1)
    assert "[object_ambiguous]" in run("show", shared).stderr
    listed = run("list", "--limit", "99").stdout.splitlines()
    short = [line.split("\t")[0] for line in listed]
    assert sorted(run_json("show", one)["id"] for one in short) == sorted(ids)
    assert "[object_unknown]" in run("show", "ffffffffffff").stderr
    assert run("show", "no id").exit_code == 1


def test_lists_in_a_pipe_are_columns_parted_by_tabs(run: Run, run_json: Json) -> None:
    run_json("add", "x", "--title", "one\ttwo\x1b[2J\nthree")
    line = run("list").stdout
    assert line.count("\t") == 3
    assert "one two\ufffd[2J three\tpending\n" in line


def test_a_list_says_what_it_left_out(run: Run, run_json: Json) -> None:
    for number in range(3):
        run_json("add", f"note {number}")
    done = run("list", "--limit", "2")
    assert len(done.stdout.splitlines()) == 2
    assert "2 of 3" in done.stderr
    assert run_json("list", "--limit", "2")["total"] == 3
    assert "[collection_unknown]" in run("list", "--collection", "cakes").stderr


def test_words_are_found(run: Run, run_json: Json) -> None:
    run_json("add", "The heron stood by the weir.", "--title", "River")
    run_json("add", "Nothing of note.", "--title", "Else")
    found = run_json("search", "weir", "her")["found"]
    assert [one["title"] for one in found] == ["River"]
    start, end = found[0]["matches"][0]
    assert found[0]["snippet"][start:end].lower().startswith(("her", "weir"))
    assert "River" in run("search", "heron").stdout
    assert "Nothing found." in run("search", "zeppelin").stderr
    for odd in ['"', "a AND", "*", "(", "NEAR(", "-x", "'", "^"]:
        assert run("search", "--", odd).exit_code == 0, odd


def test_show_is_for_people(run: Run, run_json: Json) -> None:
    made = run_json("add", "First\x1b[31m line\r\nsecond", "--title", "T", "--tag", "a b")["id"]
    shown = run("show", made).stdout
    assert shown.startswith(f"T\n{made}")
    assert "#a b  [pending]" in shown
    assert shown.endswith("First\ufffd[31m line\nsecond\n")


def test_json_is_one_line_of_valid_json(run: Run, run_json: Json) -> None:
    made = run_json("add", "x\n\u2028y")["id"]
    for words in (
        ["list"],
        ["show", made],
        ["search", "x"],
        ["status"],
        ["devices"],
        ["edit", made, "--star"],
    ):
        done = run(*words, "--json")
        assert done.stderr == ""
        assert done.stdout.count("\n") == 1
        assert isinstance(json.loads(done.stdout), dict)


def test_no_encoding_is_in_the_way(home: Path, run_json: Json) -> None:
    made = run_json("add", "café 📊")["id"]
    done = echolia("show", made, home=home, PYTHONIOENCODING="latin-1")
    assert "café \\U0001f4ca\n".encode("latin-1") in done.stdout
    done = echolia("show", made, "--json", home=home, PYTHONIOENCODING="ascii")
    assert json.loads(done.stdout)["fields"]["body"] == "café 📊"
    done = echolia("add", "\udcff", home=home)
    assert (done.returncode, b"not UTF-8" in done.stderr) == (2, True)


def test_quiet_says_only_results(run: Run, run_json: Json) -> None:
    run_json("add", "x")
    assert run("search", "zeppelin", "--quiet").output == ""
    assert run("list", "--quiet", "--limit", "1").stderr == ""


@pytest.mark.slow
def test_an_editor_opens_at_a_terminal(home: Path, run_json: Json, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "written by hand\\n" >> "$1"\n')
    editor.chmod(0o700)
    terminal = Terminal("add", home=home, EDITOR=str(editor))
    terminal.wait_for("Added")
    assert terminal.end() == 0
    made = run_json("list")["records"][0]["id"]
    assert run_json("show", made)["fields"]["body"] == "written by hand\n"

    terminal = Terminal("edit", made, home=home, EDITOR="true")
    terminal.wait_for("Nothing was changed.")
    assert terminal.end() == 0


@pytest.mark.slow
def test_deleting_asks_at_a_terminal(home: Path, run_json: Json) -> None:
    made = run_json("add", "x", "--title", "Precious")["id"]
    for keys, code, left in [("n\n", 130, 1), ("\x03", 130, 1), ("y\n", 0, 0)]:
        terminal = Terminal("rm", made, home=home)
        terminal.wait_for("Put “Precious” into the trash? [y/N]")
        terminal.type(keys)
        assert (terminal.interrupt() if keys == "\x03" else terminal.end()) == code
        assert "Traceback" not in terminal.shown
        assert run_json("list")["total"] == left
