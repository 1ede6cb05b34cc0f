"""Reading a folder of Markdown and text files, or a single one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from echolia.client.importing import front_matter
from echolia.client.importing.notes import MOST_TEXT_BYTES, Note, Skipped, one_line
from echolia.client.importing.safe_files import FoundFile, printable, read_file, walk
from echolia.core.errors import EcholiaError

MARKDOWN_SUFFIXES: Final = frozenset({".md", ".markdown"})
SUFFIXES: Final = MARKDOWN_SUFFIXES | {".txt"}
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


class MarkdownReader:
    """The notes of a folder (or of one file), in the order of their paths.

    `name` stands for the folder in the objects' ids: the same folder under the same name gives the same
    objects, on every device of the account. It is the folder's own name unless given.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        root = path if path.is_dir() else path.parent
        self._source = f"markdown:{unicodedata.normalize('NFC', printable(name or root.resolve().name))}"
        self._found = list(walk(path, SUFFIXES)) if path.is_dir() else [FoundFile(path, path.name)]

    @property
    def total(self) -> int:
        """How many files there are, the skipped ones included."""
        return len(self._found)

    def __iter__(self) -> Iterator[Note | Skipped]:
        """Read one file after the other, so that only one is in memory."""
        keys: set[str] = set()
        for found in self._found:
            yield found if isinstance(found, Skipped) else self._read(found, keys)

    def _read(self, found: FoundFile, keys: set[str]) -> Note | Skipped:
        name = printable(found.relative)
        # Some file systems keep accents apart from their letters; the id must be the same everywhere.
        key = unicodedata.normalize("NFC", found.relative)
        try:
            if name != found.relative and not key.isprintable():
                raise EcholiaError("import_unreadable", "the file's name is not plain text")
            if key in keys:
                raise EcholiaError("import_unreadable", "another file's name differs only in its encoding")
            keys.add(key)
            opened = read_file(found.path, MOST_TEXT_BYTES)
            text = opened.content.decode("utf-8")
        except EcholiaError as error:
            return Skipped(name, error.code, error.detail)
        except UnicodeDecodeError:
            return Skipped(name, "import_unreadable", "not UTF-8 text")
        return note_of(self._source, key, text, opened.changed_ms)


def note_of(source: str, key: str, text: str, changed_ms: int) -> Note:
    """The note that a file's text makes; the title falls back to a heading, then to the file's name."""
    path = PurePosixPath(key)
    parts = front_matter.split(text)
    fields = parts.fields or {}
    given = one_line(front_matter.title(fields))
    heading = first_heading(parts.body) if path.suffix.lower() in MARKDOWN_SUFFIXES else ""
    created = front_matter.created_ms(fields)
    return Note(
        source=source,
        key=key,
        name=key,
        title=given or one_line(heading) or one_line(path.stem) or key,
        body=parts.body,
        front=parts.front,
        tags=front_matter.tags(fields),
        created_ms=changed_ms if created is None else created,
        created_from_file=created is None,
        noted="" if parts.fields is not None else "its front matter is not valid YAML; kept as written",
    )


def first_heading(body: str) -> str:
    """The text of the first `# heading` outside of fenced code, empty if there is none."""
    fence = ""
    for line in body.splitlines():
        marks = _FENCE.match(line)
        if marks:
            fence = _next_fence(fence, marks.group(1))
        elif not fence and (heading := _heading(line)):
            return heading
    return ""


def _heading(line: str) -> str:
    """The text of a heading without the marks on either side; empty if the line is none."""
    opening = _HEADING.match(line)
    if opening is None:
        return ""
    text = line[opening.end() :].strip(" \t")
    without = text.rstrip("#")
    return text if without and without[-1] not in " \t" else without.rstrip(" \t")


def _next_fence(fence: str, marks: str) -> str:
    """The fence that is open after a line of marks: the first opens one, as many of the same close it."""
    if not fence:
        return marks
    return "" if marks[0] == fence[0] and len(marks) >= len(fence) else fence
