"""Conflicts, history, memories and tags by command: seen, decided, brought back; with two homes and alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Json, Run
from tests.support.command_line import in_process, paired, result


@pytest.fixture
def phone(new_home: Path, tmp_path: Path) -> Path:
    """The home of a second device of `new_home`'s account."""
    paired(new_home, tmp_path / "phone")
    return tmp_path / "phone"


def shared(laptop: Path, phone: Path, *words: str) -> str:
    """Something that both have; gives its id."""
    made: str = result("add", *words, home=laptop)["id"]
    result("sync", home=laptop)
    result("sync", home=phone)
    return made


def meet(*homes: Path) -> None:
    """Sync until all have everything."""
    for home in (*homes, *homes):
        result("sync", home=home)


def said(*words: str, home: Path) -> str:
    """What a command that must not fail says to people."""
    done = in_process(*words, home=home)
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_two_titles_are_listed_with_device_and_time_and_one_is_taken(new_home: Path, phone: Path) -> None:
    made = shared(new_home, phone, "x", "--title", "Neither")
    assert said("conflicts", home=phone) == "Nothing waits for a decision.\n"
    result("edit", made, "--title", "Laptop's", home=new_home)
    result("edit", made, "--title", "Phone's", home=phone)
    meet(new_home, phone)
    this = result("status", home=phone)["device"]
    other = result("status", home=new_home)["device"]
    [listed] = result("conflicts", home=phone)["conflicts"]
    values = listed["fields"]["title"]["values"]
    assert {(one["value"], one["device"]) for one in values} == {("Laptop's", other), ("Phone's", this)}
    assert all(isinstance(one["at_ms"], int) for one in values)
    merged = listed["fields"]["title"]["merged"]
    assert (listed["id"], listed["kind"], merged) == (
        made,
        "values",
        " / ".join(one["value"] for one in values),
    )
    text = said("conflicts", home=phone)
    assert f"device {other[:8]}, 20" in text
    assert "this device, 20" in text
    assert f"merged    {merged}" in text
    assert f"echolia resolve {made[:8]} --take 1" in text
    assert "1 wait for a decision: echolia conflicts" in said("status", home=phone)
    shown = said("show", made, home=phone)
    assert f"! title differs; `echolia resolve {made[:8]} --field title --take …` decides:" in shown
    assert f"    2  {values[1]['value']}   (device {values[1]['device'][:8]}, 20" in shown

    told = said("resolve", made[:8], "--take", "2", home=phone)
    assert told == f"title of {made[:8]} is decided; the other values are in `echolia history {made[:8]}`.\n"
    meet(phone, new_home)
    for home in (new_home, phone):
        assert result("show", made, home=home)["title"] == values[1]["value"]
        assert result("conflicts", home=home) == {"conflicts": [], "total": 0}
    kept = result("history", made, home=phone)["versions"][0]["conflicts"]["title"]
    assert {one["value"] for one in kept} == {"Laptop's", "Phone's"}


@pytest.mark.slow
def test_several_lines_are_previewed_merged_and_taken(new_home: Path, phone: Path) -> None:
    made = shared(new_home, phone, "likes\nherons\n", "--collection", "memories")
    result("edit", made, "likes\nowls\nherons\n", home=new_home)
    result("edit", made, "likes\nherons\nrain\n", home=phone)
    meet(new_home, phone)
    assert "    merged    likes\n              owls\n" in said("conflicts", home=phone)
    result("resolve", made, "--merged", home=phone)
    meet(phone, new_home)
    assert result("show", made, home=new_home)["fields"]["content"] == "likes\nowls\nherons\nrain\n"


@pytest.mark.slow
def test_words_that_do_not_decide_what_there_is_are_refused(new_home: Path, phone: Path) -> None:
    made = shared(new_home, phone, "x", "--collection", "memories")
    unharmed = shared(new_home, phone, "y")
    for home in (new_home, phone):
        result("edit", made, f"one of {home.name}", home=home)
    meet(new_home, phone)
    for words in (
        [],
        ["--take", "1", "--merged"],
        ["--take", "0"],
        ["--take", "3"],
        ["--restore"],
        ["--discard"],
        ["--take", "1", "--field", "kind"],
    ):
        done = in_process("resolve", made, *words, home=phone)
        assert done.exit_code == 2, words
    done = in_process("resolve", unharmed, "--take", "1", home=phone)
    assert (done.exit_code, "[conflict_changed]" in done.stderr) == (1, True)
    assert len(result("conflicts", home=phone)["conflicts"]) == 1
    result("resolve", made, "--field", "content", "--value", "decided", home=phone)
    assert result("show", made, home=phone)["fields"]["content"] == "decided"


@pytest.mark.slow
@pytest.mark.parametrize(("way", "alive"), [("--restore", True), ("--discard", False)])
def test_an_edit_of_what_was_deleted_lies_in_the_trash_until_one_decides(
    new_home: Path, phone: Path, way: str, alive: bool
) -> None:
    made = shared(new_home, phone, "x", "--title", "Keep?")
    result("rm", made, "--yes", home=new_home)
    result("edit", made, "--title", "Keep!", home=phone)
    result("sync", home=new_home)
    report = in_process("sync", home=phone)
    assert f"{made[:8]} was deleted while it was edited; the edit lies in the trash." in report.stdout
    assert "Decide: echolia conflicts" in report.stdout
    meet(new_home, phone)
    this, other = (result("status", home=home)["device"] for home in (phone, new_home))
    for home in (new_home, phone):
        [listed] = result("conflicts", home=home)["conflicts"]
        assert (listed["kind"], listed["title"]) == ("recovered", "Keep!")
        assert "recovered" in listed["flags"] and "trash" in listed["flags"]
        assert listed["deletion"]["device"] == other
        assert [edit["device"] for edit in listed["edits"]] == [this]
    text = said("conflicts", home=phone)
    assert f"deleted   device {other[:8]}, 20" in text
    assert "edited    this device, 20" in text
    assert "1 wait for a decision: echolia conflicts" in said("status", home=phone)
    assert result("status", home=phone)["recovered"] == 1
    assert "! deleted while it was edited" in said("show", made, home=phone)
    assert in_process("resolve", made, "--take", "1", home=phone).exit_code == 2
    result("resolve", made, way, home=phone)
    meet(phone, new_home)
    for home in (new_home, phone):
        assert result("conflicts", home=home)["total"] == 0
        assert [one["id"] for one in result("list", home=home)["records"]] == ([made] if alive else [])
        flags = result("show", made, home=home)["flags"]
        assert ("trash" in flags, "recovered" in flags) == (not alive, False)


def test_what_something_was_is_listed_and_brought_back(run: Run, run_json: Json) -> None:
    made = run_json("add", "first\n", "--title", "One", "--tag", "a")["id"]
    assert run_json("history", made)["versions"] == []
    assert "Nothing was kept" in run("history", made).stderr
    run_json("edit", made, "second\n", "--title", "Two", "--untag", "a")
    done = run("restore", made, "--version", "99")
    assert (done.exit_code, "[version_unknown]" in done.stderr) == (1, True)
    run_json("rm", made, "--yes")
    run_json("restore", made)
    assert "trash" not in run_json("show", made)["flags"]


@pytest.mark.slow
def test_a_version_of_another_device_comes_back_out_of_the_trash(new_home: Path, phone: Path) -> None:
    made = shared(new_home, phone, "first\n", "--title", "One", "--tag", "a")
    result("edit", made, "second\n", "--title", "Two", "--untag", "a", home=phone)
    meet(phone, new_home)
    result("rm", made, "--yes", home=new_home)
    [version] = result("history", made, home=new_home)["versions"]
    assert version["fields"]["title"] == "One"
    assert (version["kind"], version["replaced_by"]) == ("version", result("status", home=phone)["device"])
    line = said("history", made[:8], home=new_home)
    assert line.startswith(f"{version['version']}\tversion\t20")
    assert 'body: first, tags: ["a"], title: One\n' in line
    done = result("restore", made, "--version", str(version["version"]), home=new_home)
    assert done == {"id": made, "version": version["version"]}
    meet(new_home, phone)
    shown = result("show", made, home=phone)
    assert (shown["title"], shown["fields"]["body"], shown["tags"]) == ("One", "first\n", ["a"])
    assert "trash" not in shown["flags"]


@pytest.mark.slow
def test_a_value_that_lost_is_listed_as_a_loser(new_home: Path, phone: Path) -> None:
    made = shared(new_home, phone, "x")
    result("edit", made, "--star", home=new_home)
    result("edit", made, "--unstar", home=phone)
    meet(new_home, phone)
    losers = [one for one in result("history", made, home=new_home)["versions"] if one["kind"] == "loser"]
    [loser] = losers
    assert loser["fields"]["starred"] is not result("show", made, home=new_home)["fields"]["starred"]
    assert "\tloser\t20" in said("history", made, home=new_home)


def test_a_memory_says_what_kind_it_is_and_where_it_comes_from(run: Run, run_json: Json) -> None:
    entry = run_json("add", "We saw a heron.", "--title", "By the weir")["id"]
    gone = run_json("add", "y", "--title", "Thrown away")["id"]
    nobody = "0f" * 16
    options = ("--kind", "fact", "--importance", "0.8", "--source", entry[:8], "--source", gone)
    memory = run_json("add", "likes herons", "--collection", "memories", *options, "--source", nobody)["id"]
    run_json("rm", gone, "--yes")
    shown = run_json("show", memory)
    assert {name: shown["fields"][name] for name in ("kind", "importance")} == {
        "kind": "fact",
        "importance": 0.8,
    }
    assert {one["id"]: (one["standing"], one["title"]) for one in shown["sources"]} == {
        entry: ("here", "By the weir"),
        gone: ("trash", "Thrown away"),
        nobody: ("not_here", None),
    }
    text = run("show", memory).stdout
    assert "kind fact  importance 0.8" in text
    assert f"from  {entry[:8]}  By the weir\n" in text
    assert f"from  {gone[:8]}  Thrown away  [trash]\n" in text
    assert f"from  {nobody[:8]}  [not here]\n" in text
    assert run_json("show", entry)["memories"] == [memory]
    assert f"memory  {memory[:8]}  likes herons\n" in run("show", entry).stdout
    run_json("edit", memory, "--unsource", nobody, "--kind", "", "--importance", "1")
    shown = run_json("show", memory)
    assert {one["id"] for one in shown["sources"]} == {entry, gone}
    assert (shown["fields"]["kind"], shown["fields"]["importance"]) == (None, 1.0)


def test_a_tag_says_its_color_and_how_sure_its_source_is(run: Run, run_json: Json) -> None:
    options = ("--color", "#0af", "--confidence", "0.75", "--source-type", "person")
    tag = run_json("add", "river", "--collection", "tags", *options)["id"]
    fields = run_json("show", tag)["fields"]
    assert (fields["color"], fields["confidence"], fields["source_type"]) == ("#0af", 0.75, "person")
    assert "color #0af  confidence 0.75  source type person" in run("show", tag).stdout
    run_json("edit", tag, "--confidence", "0.5", "--source-type", "")
    fields = run_json("show", tag)["fields"]
    assert (fields["confidence"], fields["source_type"]) == (0.5, None)


def test_values_and_options_that_do_not_fit_are_refused(run: Run, run_json: Json) -> None:
    done = run("add", "river", "--collection", "tags", "--confidence", "1.5")
    assert done.exit_code == 1
    assert "confidence takes a number from 0 to 1" in done.stderr
    assert done.stderr.endswith("[value_invalid]\n")
    done = run("add", "x", "--collection", "memories", "--source", "ffff")
    assert done.stderr.endswith("[object_unknown]\n")
    for words, hint in (
        (["add", "x", "--kind", "fact"], "Only memories have --kind"),
        (["add", "x", "--collection", "memories", "--tag", "a"], "Only entries have --tag"),
        (["add", "x", "--collection", "tags", "--source", "00"], "Only memories have --source"),
        (["add", "x", "--collection", "memories", "--source-type", "a"], "Only tags have --source-type"),
        (["add", "x", "--importance", "very"], "not a valid float"),
    ):
        done = run(*words)
        assert (done.exit_code, hint in done.stderr) == (2, True), words
    assert run_json("list")["total"] == 0


def test_a_tag_that_is_taken_off_and_added_at_once_is_there(run_json: Json) -> None:
    made = run_json("add", "x", "--tag", "a")["id"]
    run_json("edit", made, "--tag", "a", "--untag", "a", "--tag", "b")
    assert run_json("show", made)["tags"] == ["a", "b"]


def test_showing_a_memory_counts_and_sends_nothing_at_once(home: Path, run: Run, run_json: Json) -> None:
    memory = run_json("add", "likes herons", "--collection", "memories")["id"]
    entry = run_json("add", "x")["id"]
    pending = run_json("status")["pending"]
    for words in (["show", memory], ["show", memory, "--json"], ["show", memory, "--raw"], ["show", entry]):
        assert run(*words).exit_code == 0
    assert run_json("status")["pending"] == pending
    import sqlite3  # noqa: PLC0415

    with sqlite3.connect(home / "echolia.db") as database:
        rows = database.execute("SELECT object, field, times FROM accesses").fetchall()
    database.close()
    assert rows == [(bytes.fromhex(memory), "access", 3)]


def test_these_commands_give_json_in_one_line(run: Run, run_json: Json) -> None:
    made = run_json("add", "x", "--title", "T\x1b[2J")["id"]
    for words in (["conflicts"], ["history", made]):
        done = run(*words, "--json")
        assert (done.stdout.count("\n"), done.stderr) == (1, "")
        assert isinstance(json.loads(done.stdout), dict)
