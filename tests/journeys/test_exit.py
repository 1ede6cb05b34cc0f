"""Leaving: an account is exported and taken into another, on another server; the first is gone by then."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import echolia, paired, result, server_process
from tests.support.exports import bare, opened_bare

pytestmark = pytest.mark.slow

PASSPHRASE = "a heron at the weir"


def shown(home: Path, id_: str) -> dict[str, Any]:
    """What a device shows of a thing, who has it aside."""
    record = result("show", id_, home=home)
    flags = [flag for flag in record["flags"] if flag != "pending"]
    return {**{name: record[name] for name in ("collection", "fields", "tags")}, "flags": flags}


def lived_in(home: Path, phone: Path) -> dict[str, str]:
    """Two devices' texts, tags, counts, memories with sources, a conflict, the Trash; all of it synced."""
    first = result("add", "Rain again.", "--title", "Monday", "--tag", "weather", home=home)["id"]
    gone = result("add", "Gone.", "--title", "Not kept", home=home)["id"]
    memory = result("add", "--collection", "memories", "It rains.", "--source", first, home=home)["id"]
    tag = result("add", "--collection", "tags", "weather", "--color", "blue", home=home)["id"]
    result("rm", "--yes", gone, home=home)
    for each in (home, phone):
        result("sync", home=each)
    result("edit", first, "Rain again, and wind.", "--star", home=phone)
    for each in (phone, home):
        result("sync", home=each)
    both = result("add", "", "--title", "A start", home=home)["id"]
    for each in (home, phone):
        result("sync", home=each)
    result("edit", both, "--title", "By the laptop", home=home)
    result("edit", both, "--title", "By the phone", home=phone)
    for each in (home, phone, home):
        result("sync", home=each)
    return {"first": first, "gone": gone, "memory": memory, "tag": tag, "both": both}


def test_everything_comes_along_and_nothing_is_needed_of_the_first_server(tmp_path: Path) -> None:
    old, phone, new, second = (tmp_path / name for name in ("old", "phone", "new", "second"))
    target = tmp_path / "diary.echolia"
    with server_process(tmp_path / "a") as first:
        phrase = result("init", "--server", first, home=old)["phrase"]
        paired(old, phone)
        ids = lived_in(old, phone)
        report = result("export", "--passphrase", str(target), home=old, stdin=f"{PASSPHRASE}\n")
        assert (report["incomplete"], report["devices"]) == ("", 2)
        assert report["runs"] >= 5
    before = {name: shown(old, id_) for name, id_ in ids.items()}
    conflicts = result("conflicts", home=old)["conflicts"]
    for gone in (tmp_path / "a", old, phone):
        shutil.rmtree(gone)
    with server_process(tmp_path / "b") as other:
        result("init", "--server", other, home=new)
        wrong = echolia("import", str(target), home=new, stdin="not the passphrase\n")
        assert (wrong.returncode, wrong.stderr.count(b"\n")) == (1, 1)
        assert b"[export_locked]" in wrong.stderr
        taken = result("import", str(target), home=new, stdin=f"{phrase}\n")
        assert (taken["new"], taken["skipped"], taken["runs"]) == (5, [], report["runs"])
        paired(new, second)
        for each in (new, second):
            result("sync", home=each)
        for each in (new, second):
            assert {name: shown(each, id_) for name, id_ in ids.items()} == before
            [found] = result("conflicts", home=each)["conflicts"]
            assert values(found) == values(conflicts[0])
        result("resolve", ids["both"], "--take", "1", home=second)
        result("restore", ids["gone"], home=second)
        result("edit", ids["first"], "Rain again, and wind, and sun.", home=second)
        for each in (second, new):
            result("sync", home=each)
        assert shown(new, ids["first"])["fields"]["body"] == "Rain again, and wind, and sun."
        assert shown(new, ids["gone"])["flags"] == []
        assert result("conflicts", home=new)["conflicts"] == []
    [kept] = result("archives", home=new)["archives"]
    run = opened_bare(
        bare(tmp_path / "site"), kept["file"], "--out", str(tmp_path / "opened"), typed=PASSPHRASE
    )
    assert run.returncode == 0, run.stderr
    assert f"5 objects, 2 devices, {report['runs']} signed runs." in run.stdout
    texts = [path.read_text() for path in (tmp_path / "opened" / "entries").iterdir()]
    assert any("Rain again, and wind." in text for text in texts)


def values(conflict: dict[str, Any]) -> list[Any]:
    """The values that compete, in the order in which they show."""
    return [choice["value"] for choice in conflict["fields"]["title"]["values"]]
