"""A folder of Markdown is read whole, byte for byte, and nothing outside of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from echolia.client.importing import Note, Skipped, reader_for
from echolia.client.importing.markdown import first_heading
from echolia.core.errors import EcholiaError


def read(path: Path, name: str | None = None) -> tuple[dict[str, Note], dict[str, Skipped]]:
    """What a path's reader gives: notes by key, skipped things by name."""
    found = list(reader_for(path, name=name))
    notes = {item.key: item for item in found if isinstance(item, Note)}
    return notes, {item.name: item for item in found if isinstance(item, Skipped)}


def test_every_byte_survives(tmp_path: Path) -> None:
    contents = {
        "crlf.md": b"# Title\r\n\r\ntext\r\n",
        "bom.md": b"\xef\xbb\xbf---\ntitle: x\n---\nbody",
        "no-newline.txt": b"last line",
        "empty.md": b"",
        "nul.txt": b"a\0b",
        "old-mac.md": b"one\rtwo\r",
        "separators.md": "a\u2028b\x0bc\x85d".encode(),
        "astral.markdown": "📊 e\u0301 é".encode(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    notes, skipped = read(tmp_path)
    assert {key: (note.front + note.body).encode() for key, note in notes.items()} == contents
    assert skipped == {}


def test_folders_are_read_in_order_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in ["b.md", "a/z.md", "a/b/c.TXT", ".git/x.md", ".hidden.md", "image.png", "a.md"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert list(read(tmp_path)[0]) == ["a.md", "b.md", "a/z.md", "a/b/c.TXT"]


def test_titles_come_from_front_matter_then_heading_then_name(tmp_path: Path) -> None:
    (tmp_path / "1.md").write_text("---\ntitle: Given\n---\n# Heading")
    (tmp_path / "2.md").write_text("text\n\n## Heading ##\n")
    (tmp_path / "three.md").write_text("```\n# code\n```\n#nospace\n")
    (tmp_path / "four.txt").write_text("# a comment\n")
    (tmp_path / "5.md").write_text("---\ntitle: |\n  two\n  lines\n---\n")
    notes, _ = read(tmp_path)
    assert [note.title for note in notes.values()] == ["Given", "Heading", "two lines", "four", "three"]


def test_fences_close_only_by_their_own_marks() -> None:
    assert first_heading("````\n```\n# no\n````\n# yes\n") == "yes"
    assert first_heading("~~~\n```\n# no\n~~~~\n# yes") == "yes"


@pytest.mark.parametrize(
    ("text", "heading"),
    [
        ("# Plain", "Plain"),
        ("   ###### Six  ##  ", "Six"),
        ("# C#", "C#"),
        ("# a # b", "a # b"),
        ("# #", ""),
        ("#", ""),
        ("####### seven", ""),
        ("    # code", ""),
        ("#\ttab", "tab"),
        ("# x" + " " * 500_000 + "y", "x" + " " * 500_000 + "y"),
        ("#" * 500_000 + "\n# y", "y"),
    ],
)
def test_headings(text: str, heading: str) -> None:
    assert first_heading(text) == heading


def test_the_folder_s_name_is_part_of_the_source(tmp_path: Path) -> None:
    (tmp_path / "diary").mkdir()
    (tmp_path / "diary" / "a.md").write_text("x")
    assert read(tmp_path / "diary")[0]["a.md"].source == "markdown:diary"
    assert read(tmp_path / "diary" / "a.md")[0]["a.md"].source == "markdown:diary"
    assert read(tmp_path / "diary", name="other")[0]["a.md"].source == "markdown:other"


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "a.md").write_text("x")
    assert read(folder)[0]["a.md"].source == "markdown:caf\\udce9"


def test_created_is_the_front_matter_s_date_or_the_file_s(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("---\ndate: 1970-01-02\n---\n")
    (tmp_path / "b.md").write_text("x")
    os.utime(tmp_path / "b.md", ns=(0, 5_000_000_000))
    notes, _ = read(tmp_path)
    assert (notes["a.md"].created_ms, notes["b.md"].created_ms) == (86_400_000, 5_000)


def test_links_pipes_and_devices_are_named_and_never_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    inside = tmp_path / "notes"
    outside.mkdir()
    inside.mkdir()
    (outside / "secret.md").write_text("secret")
    (inside / "kept.md").write_text("x")
    (inside / "link.md").symlink_to(outside / "secret.md")
    (inside / "folder").symlink_to(outside)
    (inside / "loop").symlink_to(inside)
    (inside / "dead.md").symlink_to(inside / "nothing")
    os.mkfifo(inside / "pipe.md")
    notes, skipped = read(inside)
    assert list(notes) == ["kept.md"]
    codes = {name: item.code for name, item in skipped.items()}
    assert codes == {
        "dead.md": "import_outside",
        "folder": "import_outside",
        "link.md": "import_outside",
        "loop": "import_outside",
        "pipe.md": "import_unreadable",
    }


def test_a_file_swapped_for_a_link_after_the_walk_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("x")
    reader = reader_for(tmp_path)
    (tmp_path / "a.md").unlink()
    (tmp_path / "a.md").symlink_to("/etc/passwd")
    assert [item.code for item in reader if isinstance(item, Skipped)] == ["import_outside"]


def test_what_is_no_text_or_too_long_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.md").write_bytes("é".encode("latin-1"))
    (tmp_path / "wide.txt").write_bytes("hello".encode("utf-16"))
    (tmp_path / "long.md").write_bytes(b"a" * (900 * 1024 + 1))
    (tmp_path / "just.md").write_bytes(b"a" * (900 * 1024))
    notes, skipped = read(tmp_path)
    assert list(notes) == ["just.md"]
    assert {item.code for item in skipped.values()} == {"import_unreadable"}
    assert skipped["long.md"].reason == "larger than 900 KiB"


def test_odd_file_names_are_shown_safely(tmp_path: Path) -> None:
    (tmp_path / "clear\x1b[2J.md").write_text("x")
    with (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.md"))).open("w") as file:
        file.write("x")
    notes, skipped = read(tmp_path)
    assert notes == {}
    assert sorted(skipped) == ["\\udcff.md", "clear\\x1b[2J.md"]


def test_the_same_letters_in_another_encoding_are_the_same_note(tmp_path: Path) -> None:
    (tmp_path / "e\u0301.md").write_text("apart")
    assert list(read(tmp_path)[0]) == ["\u00e9.md"]
    (tmp_path / "\u00e9.md").write_text("together")
    notes, skipped = read(tmp_path)
    assert len(notes) == len(skipped) == 1


def test_a_path_that_is_not_there_or_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"x")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    for name in ["nothing", "picture.png", "round"]:
        with pytest.raises(EcholiaError) as caught:
            reader_for(tmp_path / name)
        assert caught.value.code == "import_unreadable"
