"""Reading a Day One JSON export: the journal's file, the archive it came in, or its folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any, Final

from echolia.client.importing.archive import Member, json_members
from echolia.client.importing.front_matter import milliseconds
from echolia.client.importing.notes import Note, Skipped, fits, one_line
from echolia.client.importing.safe_files import printable, read_file
from echolia.core.errors import EcholiaError

SOURCE: Final = "dayone"
MOST_JOURNAL_BYTES: Final = 128 * 1024 * 1024
# What an entry says beside its text; photos and the like are references, the pictures are not imported.
META_KEYS: Final = (
    "audios",
    "creationDevice",
    "duration",
    "isAllDay",
    "isPinned",
    "location",
    "modifiedDate",
    "music",
    "pdfAttachments",
    "photos",
    "pinned",
    "timeZone",
    "userActivity",
    "videos",
    "weather",
)
_DEEPEST_META: Final = 16


class DayOneReader:
    """The entries of every journal in an export. The objects' ids come from the entries' own uuids, so a
    later, larger export of the same journal finds the entries it brought before."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def total(self) -> None:
        """Unknown: a journal says how many entries it has only when it has been read."""
        return None

    def __iter__(self) -> Iterator[Note | Skipped]:
        """Read one journal after the other."""
        uuids: set[str] = set()
        for member in self._journals():
            if isinstance(member, Skipped):
                yield member
            else:
                yield from _entries(member, uuids)

    def _journals(self) -> Iterator[Member | Skipped]:
        if self._path.suffix.lower() == ".zip":
            yield from json_members(self._path, MOST_JOURNAL_BYTES)
            return
        files = sorted(self._path.glob("*.json")) if self._path.is_dir() else [self._path]
        for file in files:
            name = printable(file.name)
            try:
                yield Member(name, read_file(file, MOST_JOURNAL_BYTES).content)
            except EcholiaError as error:
                yield Skipped(name, error.code, error.detail)


def _entries(member: Member, uuids: set[str]) -> Iterator[Note | Skipped]:
    journal = _journal(member.content)
    if journal is None:
        yield Skipped(member.name, "import_unreadable", "not a Day One journal")
        return
    for number, entry in enumerate(journal):
        note = note_of(entry)
        if note is None:
            yield Skipped(f"{member.name}[{number}]", "import_unreadable", "no uuid, or its text is not text")
        elif not fits(note):
            yield Skipped(note.name, "import_unreadable", "larger than 900 KiB")
        elif note.key not in uuids:  # an entry in two exported files is the same entry
            uuids.add(note.key)
            yield note


def _journal(content: bytes) -> list[Any] | None:
    """The list of entries in a journal file, None if it is something else."""
    try:
        loaded = json.loads(content, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    entries = loaded.get("entries") if isinstance(loaded, dict) else None
    return entries if isinstance(entries, list) else None


def note_of(entry: Any) -> Note | None:
    """The note an entry makes, its text as Day One wrote it; None if it is not an entry."""
    if not isinstance(entry, dict):
        return None
    uuid, text = entry.get("uuid"), entry.get("text") or ""
    if not (isinstance(uuid, str) and uuid and isinstance(text, str) and _is_unicode(uuid + text)):
        return None
    tags = [tag for tag in _list(entry.get("tags")) if isinstance(tag, str) and tag and _is_unicode(tag)]
    created = entry.get("creationDate")
    return Note(
        source=SOURCE,
        key=uuid.upper(),
        name=printable(uuid),
        title=title_of(text) or (created[:10] if isinstance(created, str) and _is_unicode(created) else uuid),
        body=text,
        tags=tuple(dict.fromkeys(tags)),
        created_ms=milliseconds(created) if isinstance(created, str) else None,
        starred=entry.get("starred") is True,
        meta={key: plain(entry[key]) for key in META_KEYS if key in entry},
    )


def title_of(text: str) -> str:
    """Day One has no titles: the first line with something in it, without its heading marks."""
    lines = (line.strip().lstrip("#").strip() for line in text.splitlines())
    shown = (line for line in lines if line and not line.startswith("![]("))
    return one_line(next(shown, ""))


def plain(value: Any, depth: int = 0) -> Any:
    """A JSON value as an object may hold it: integers of 64 bits, valid text, bounded depth."""
    if depth > _DEEPEST_META:
        return None
    if isinstance(value, dict):
        return {str(plain(key)): plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner, depth + 1) for inner in value]
    if isinstance(value, str):
        return value if _is_unicode(value) else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_unicode(text: str) -> bool:
    """Whether the text can be written as UTF-8: JSON can smuggle in half a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
