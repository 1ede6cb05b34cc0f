"""A Day One export is read from its file, folder or archive, whatever else the archive tries."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from echolia.client.importing import Note, Skipped, reader_for
from echolia.client.importing.archive import leads_outside
from echolia.client.importing.day_one import note_of
from echolia.core.errors import EcholiaError

ENTRY: dict[str, Any] = {
    "uuid": "0A1B2C3D4E5F60718293A4B5C6D7E8F9",
    "text": "# By the sea\n\nIt was cold\\. ![](dayone-moment://ABC)\r\n",
    "creationDate": "2019-05-04T12:00:00Z",
    "tags": ["sea", "sea", 3, ""],
    "starred": True,
    "location": {"latitude": 54.1, "placeName": "Pier", "region": {"radius": 2**70}},
    "weather": {"temperatureCelsius": 11},
    "photos": [{"identifier": "ABC", "md5": "00"}],
    "richText": "{}",
}


def journal(*entries: Any) -> bytes:
    """A journal file with these entries."""
    return json.dumps({"metadata": {"version": "1.0"}, "entries": list(entries)}).encode()


def read(path: Path) -> tuple[list[Note], list[Skipped]]:
    """What a path's reader gives."""
    found = list(reader_for(path))
    return [item for item in found if isinstance(item, Note)], [
        item for item in found if isinstance(item, Skipped)
    ]


def test_an_entry_keeps_its_text_and_what_it_says_beside_it() -> None:
    note = note_of(ENTRY)
    assert note is not None
    assert (note.source, note.key) == ("dayone", ENTRY["uuid"])
    assert note.body == ENTRY["text"]
    assert (note.title, note.tags, note.starred) == ("By the sea", ("sea",), True)
    assert note.created_ms == 1_556_971_200_000
    assert note.meta["location"]["region"]["radius"] == str(2**70)
    assert note.meta["photos"] == ENTRY["photos"]
    assert "richText" not in note.meta


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("", "2019-05-04"),
        ("![](dayone-moment://A)\n\n  \nHello", "Hello"),
        ("###\nx", "x"),
        (None, "2019-05-04"),
    ],
)
def test_titles(text: str | None, title: str) -> None:
    note = note_of(ENTRY | {"text": text})
    assert note is not None
    assert note.title == title


@pytest.mark.parametrize("change", [{"uuid": None}, {"uuid": ""}, {"text": 3}, {"text": "\ud800"}])
def test_what_is_no_entry_is_no_note(change: dict[str, Any]) -> None:
    assert note_of(ENTRY | change) is None
    assert note_of([ENTRY]) is None


def test_file_folder_and_archive_give_the_same(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "Journal.json").write_bytes(journal(ENTRY))
    with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Journal.json", journal(ENTRY))
        archive.writestr("photos/00.jpeg", b"x")
        archive.writestr("__MACOSX/._Journal.json", b"x")
    paths = [tmp_path / "export", tmp_path / "export" / "Journal.json", tmp_path / "export.zip"]
    assert [read(path) for path in paths] == [([note_of(ENTRY)], [])] * 3


def test_an_entry_in_two_journals_comes_once_and_bad_ones_are_named(tmp_path: Path) -> None:
    (tmp_path / "A.json").write_bytes(
        journal(ENTRY, "no entry", ENTRY | {"uuid": "b", "text": "x" * 1_000_000})
    )
    (tmp_path / "B.json").write_bytes(journal(ENTRY, ENTRY | {"uuid": "c"}))
    notes, skipped = read(tmp_path)
    assert [note.key for note in notes] == [ENTRY["uuid"], "C"]
    assert [item.name for item in skipped] == ["A.json[1]", "b"]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"entries": {}}', b"\xff", b"[" * 100_000, b'{"entries": [NaN']
)
def test_what_is_no_journal_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    assert [item.code for item in read(tmp_path / "x.json")[1]] == ["import_unreadable"]


def test_paths_that_climb_out_of_the_archive_are_named(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        for name in ["../../outside.json", "/etc/outside.json", "C:\\outside.json", "a\\..\\..\\b.json"]:
            archive.writestr(name, journal(ENTRY))
        archive.writestr(link, "/etc/passwd")
        archive.writestr("Journal.json", journal(ENTRY))
    notes, skipped = read(tmp_path / "export.zip")
    assert len(notes) == 1
    assert [item.code for item in skipped] == ["import_outside"] * 5
    assert not (tmp_path.parent / "outside.json").exists()


@pytest.mark.parametrize("name", ["a.json", "a/b.json", "a..b/c.json"])
def test_plain_paths_stay_inside(name: str) -> None:
    assert not leads_outside(name)


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Journal.json", b" " * (64 * 1024 * 1024))
    assert [item.reason for item in read(tmp_path / "bomb.zip")[1]] == ["unpacks to more than it may"]


def test_a_member_that_lies_about_its_size_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Journal.json", b" " * (4 * 1024 * 1024))
    raw = path.read_bytes()
    path.write_bytes(raw.replace((4 * 1024 * 1024).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    assert [item.code for item in read(path)[1]] == ["import_unreadable"]


def test_damaged_archives_are_named_not_raised_raw(tmp_path: Path) -> None:
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Journal.json", journal(ENTRY))
    raw = whole.read_bytes()
    (tmp_path / "cut.zip").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(EcholiaError) as caught:
        read(tmp_path / "cut.zip")
    assert caught.value.code == "import_unreadable"
    for position in range(30, len(raw) // 2, 7):
        hurt = bytearray(raw)
        hurt[position] ^= 0xFF
        (tmp_path / "hurt.zip").write_bytes(bytes(hurt))
        notes, skipped = read(tmp_path / "hurt.zip")
        assert len(notes) + len(skipped) <= 1
