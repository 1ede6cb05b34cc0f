"""The opener needs nothing but itself, PyNaCl and the words: no Echolia, no server."""

from __future__ import annotations

import ast
import json
import os
import stat
from pathlib import Path

import pytest
from mnemonic import Mnemonic

from echolia.client import open_export
from echolia.client.importing import bring_in, reader_for
from tests.client.exporting.test_export import PASSPHRASE, lived_in
from tests.support.devices import World
from tests.support.exports import OPENER, account, bare, opened_bare


async def test_it_opens_lists_and_writes_by_itself(world: World, elsewhere: World) -> None:
    laptop, phrase = await account(world)
    ids = await lived_in(laptop)
    await laptop.sync()
    await laptop.export(world.folder / "out", passphrase=PASSPHRASE)
    await laptop.export_plain(world.folder / "plain")
    site = bare(world.folder / "site")
    words = (str(world.folder / "out"), "--list", "--out", str(world.folder / "opened"))
    run = opened_bare(site, *words, typed=f"{phrase}\n")
    assert (run.returncode, run.stderr) == (0, "")
    assert "whole" in run.stdout
    assert "4 objects, 1 devices, 1 signed runs." in run.stdout
    assert all(id_ in run.stdout for id_ in ids.values())
    assert contents(world.folder / "opened") == contents(world.folder / "plain")
    assert opened_bare(site, words[0], typed=PASSPHRASE).returncode == 0
    again = opened_bare(site, *words, typed=phrase)
    assert (again.returncode, again.stdout.count("whole")) == (1, 0)  # the folder is not empty
    other, _ = await account(elsewhere, "other")
    report = await bring_in(other, reader_for(world.folder / "opened"))
    assert (report.new, report.skipped, report.noted) == (1, [], [])
    [record] = await other.collection("entries").list()
    assert (record.title, record.fields["body"], record.fields["tags"]) == ("Monday", "Rain.", ["a", "b"])
    assert record.fields["created"] == 0 or record.fields["created"] == 1


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("abandon " * 24, "do not check"),
        ("", "not 24 words"),
        (Mnemonic("english").to_mnemonic(bytes(32)), "another account"),
    ],
)
async def test_wrong_words_are_told_in_one_line(world: World, typed: str, why: str) -> None:
    laptop, _ = await account(world)
    await laptop.export(world.folder / "out", online=False)
    run = opened_bare(bare(world.folder / "site"), str(world.folder / "out"), typed=typed)
    assert (run.returncode, run.stdout) == (1, "")
    assert why in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_it_is_small_and_imports_nothing_of_echolia() -> None:
    text = OPENER.read_text()
    assert len(text.splitlines()) < 400
    names = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not any(name.startswith(("echolia", "tests")) for name in names)


def test_its_word_list_is_that_of_bip_39() -> None:
    assert open_export.WORDS.read_text("ascii").split() == Mnemonic("english").wordlist


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.*")}


def thing(**fields: object) -> dict[str, object]:
    """An entry as an export has it."""
    return {
        "id": b"\x01" * 16, "collection": "entries", "alive": True, "recovered": False, "updated": 0,
        "fields": fields, "conflicts": {}, "state": b"",
    }  # fmt: skip


@pytest.mark.parametrize(
    "title",
    [
        "../../etc/passwd", "/", ".", "..", ".hidden", "con", "a\x00b", "x" * 4000, "\U0001f426" * 200,
        "a/b\\c:d*e?", "line\none", "\u202ehidden", "",
    ],
)  # fmt: skip
def test_no_title_leads_outside_or_hides(tmp_path: Path, title: str) -> None:
    plain = open_export.PlainFolder(tmp_path / "out")
    plain.add(thing(title=title, body="text", created=2**60))
    plain.close()
    [path] = [found for found in (tmp_path / "out").rglob("*") if found.is_file()]
    assert path.parent == tmp_path / "out" / "entries"
    assert path.suffix == ".md" and not path.name.startswith(".") and len(os.fsencode(path.name)) <= 255
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(found.stat().st_mode) for found in (tmp_path / "out", path.parent)} == {0o700}


@pytest.mark.parametrize("name", ["../x", "", "A", "_trash", "a/b"])
def test_a_collection_s_name_leads_nowhere_either(tmp_path: Path, name: str) -> None:
    plain = open_export.PlainFolder(tmp_path / "out")
    with pytest.raises(open_export.Refused):
        plain.add({**thing(), "collection": name})
    plain.close()


def test_what_json_and_yaml_cannot_say_is_written_all_the_same(tmp_path: Path) -> None:
    odd = {
        "b": b"\xff",
        "n": float("nan"),
        "i": float("inf"),
        "t": "\u2028\x85\x00 \U0001f426 \ud7ff",
        "d": {b"k": [1.5]},
    }
    plain = open_export.PlainFolder(tmp_path / "out")
    plain.add(thing(title="x\u2028\x85y: z", body="---\ntext\r\n", meta=odd))
    plain.add({**thing(content="c", meta=odd), "collection": "memories"})
    plain.close()
    [path] = (tmp_path / "out" / "entries").iterdir()
    [note] = list(reader_for(path))
    assert not hasattr(note, "code")
    assert (note.title, note.body) == ("x y: z", "---\ntext\r\n")
    [listed] = json.loads((tmp_path / "out" / "collections" / "memories.json").read_text())
    assert listed["fields"]["meta"] == {
        "b": "ff", "n": "nan", "i": "inf", "t": "\u2028\x85\x00 \U0001f426 \ud7ff", "d": {"6b": [1.5]}
    }  # fmt: skip
