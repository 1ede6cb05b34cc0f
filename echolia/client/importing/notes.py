"""What every reader hands to the importer: a note, or why something was left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

# A sealed body holds at most 1 MiB (spec/sync.md#limits); a text's history and padding need the rest.
MOST_TEXT_BYTES: Final = 900 * 1024
MOST_TITLE_CHARACTERS: Final = 300


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to import.

    `source` and `key` together name it for ever (the object's id is derived from them), so importing twice
    finds the same object. `front + body` is the file's text, byte for byte. `created_from_file`: its date is
    the file's own, not one that somebody wrote. `noted` is a remark for the person, empty when there is
    nothing to say.
    """

    source: str
    key: str
    name: str
    title: str
    body: str
    front: str = ""
    tags: tuple[str, ...] = ()
    created_ms: int | None = None
    created_from_file: bool = False
    starred: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)
    noted: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was left out: its name, the error's code and the reason for people."""

    name: str
    code: str
    reason: str


class Reader(Protocol):
    """An iterable of notes that knows beforehand how many there are, if that is cheap."""

    @property
    def total(self) -> int | None:
        """How many notes and skipped things will come, None if unknown."""

    def __iter__(self) -> Iterator[Note | Skipped]:
        """The notes, in an order that is the same each time."""


def one_line(title: str) -> str:
    """A title without line breaks and of bounded length."""
    return " ".join(title.split())[:MOST_TITLE_CHARACTERS]


def fits(note: Note) -> bool:
    """Whether the text is small enough to be one sealed change."""
    return len(note.front.encode()) + len(note.body.encode()) <= MOST_TEXT_BYTES
