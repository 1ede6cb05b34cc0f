"""Turning notes into objects of the account: new ones made, changed ones edited, the rest left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from echolia.client.importing.notes import Note, Reader, Skipped
from echolia.core import canonical
from echolia.core.errors import EcholiaError
from echolia.core.merge import Add, Remove

if TYPE_CHECKING:
    from echolia.client import Device, Record

COLLECTION: Final = "entries"
MOST_NOTES_AT_ONCE: Final = 256
MOST_CHARACTERS_AT_ONCE: Final = 4 * 1024 * 1024
Fields: TypeAlias = dict[str, Any]
# Refusals that concern one note and not the home.
_NOTE_REFUSED: Final = frozenset({"value_invalid", "object_in_trash", "object_quarantined", "body_too_large"})
OnProgress: TypeAlias = Callable[[int, "int | None"], None]


@dataclass(slots=True)
class Report:
    """What an import came to: counts, what was left out and why, and remarks as (name, remark)."""

    new: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    noted: list[tuple[str, str]] = field(default_factory=list)

    @property
    def done(self) -> int:
        """How many things were looked at."""
        return self.new + self.updated + self.unchanged + len(self.skipped)


async def bring_in(device: Device, reader: Reader, on_progress: OnProgress | None = None) -> Report:
    """Import what the reader gives, some hundred notes in one durable transaction each.

    Interrupted anywhere it is simply run again: the ids are derived, so that what is here already is found.
    Raises what the home raises (`disk_full`, …); a note that cannot be taken is named in the report instead.
    """
    report = Report()
    parts = _parts(iter(reader))
    # Reading waits for the disk; a thread does it, so that a program with a window stays alive meanwhile.
    while part := await asyncio.to_thread(next, parts, None):
        report.skipped += [item for item in part if isinstance(item, Skipped)]
        await _take([item for item in part if isinstance(item, Note)], device, report)
        if on_progress is not None:
            on_progress(report.done, reader.total)
    return report


def _parts(items: Iterator[Note | Skipped]) -> Iterator[list[Note | Skipped]]:
    """The items, as many at a time as fit one transaction and a modest memory."""
    part: list[Note | Skipped] = []
    characters = 0
    for item in items:
        part.append(item)
        characters += len(item.body) if isinstance(item, Note) else 0
        if len(part) == MOST_NOTES_AT_ONCE or characters >= MOST_CHARACTERS_AT_ONCE:
            yield part
            part, characters = [], 0
    if part:
        yield part


async def _take(notes: list[Note], device: Device, report: Report) -> None:
    """Take the notes in one transaction; if one is refused, each in its own, so that the others come in."""
    plans = [await _plan(device, note) for note in notes]
    edits = [plan for plan in plans if isinstance(plan, _Edit)]
    report.skipped += [plan for plan in plans if isinstance(plan, Skipped)]
    report.unchanged += sum(plan is None for plan in plans)
    try:
        await _write(device, edits)
    except EcholiaError as error:
        if error.code not in _NOTE_REFUSED:
            raise
        edits = [edit for edit in edits if await _written_alone(device, edit, report)]
    report.new += sum(edit.new for edit in edits)
    report.updated += sum(not edit.new for edit in edits)
    report.noted += [(edit.note.name, edit.note.noted) for edit in edits if edit.note.noted]


@dataclass(frozen=True, slots=True)
class _Edit:
    note: Note
    object_id: str
    new: bool
    fields: Fields


async def _plan(device: Device, note: Note) -> _Edit | Skipped | None:
    """What is to be done about a note: an edit, nothing (None), or to leave it out for a reason."""
    object_id = device.imported_id(note.source, note.key)
    try:
        record = await device.collection(COLLECTION).get(object_id)
    except EcholiaError as error:
        if error.code != "object_unknown":
            return Skipped(note.name, error.code, error.meaning)
        return _Edit(note, object_id, new=True, fields=fields_of(note))
    if _source(record).get("digest") == _digest(note):
        return None
    if not record.alive:
        return Skipped(note.name, "object_in_trash", "it was deleted here; `echolia restore` brings it back")
    if record.quarantined:
        return Skipped(note.name, "object_quarantined", "part of it could not be read here")
    if _edited_on_both_sides(record, note):
        return Skipped(note.name, "import_edited", "edited here and in the file; left as it is here")
    return _Edit(note, object_id, new=False, fields=changes(record, note))


async def _write(device: Device, edits: list[_Edit]) -> None:
    async with device.batch() as batch:
        for edit in edits:
            if edit.new:
                batch.create(COLLECTION, edit.fields, id=edit.object_id)
            else:
                batch.update(COLLECTION, edit.object_id, edit.fields)


async def _written_alone(device: Device, edit: _Edit, report: Report) -> bool:
    try:
        await _write(device, [edit])
    except EcholiaError as error:
        if error.code not in _NOTE_REFUSED:
            raise
        report.skipped.append(Skipped(edit.note.name, error.code, error.meaning))
        return False
    return True


def fields_of(note: Note) -> Fields:
    """The fields of a note's new object; `source` remembers what was imported, for the next time."""
    fields: Fields = {
        "title": note.title,
        "body": note.body,
        "tags": list(note.tags),
        "created": note.created_ms,
        "starred": note.starred,
        "front": note.front,
        "meta": dict(note.meta),
        "source": {
            "kind": note.source.partition(":")[0],
            "name": note.source.partition(":")[2],
            "key": note.key,
            "digest": _digest(note),
            "text": _text_digest(note.front + note.body),
            "imported": {
                "title": note.title,
                "tags": list(note.tags),
                "created": note.created_ms,
                "starred": note.starred,
            },
        },
    }
    empty: Fields = {"tags": [], "created": None, "starred": False, "front": "", "meta": {}}
    return {name: value for name, value in fields.items() if name not in empty or value != empty[name]}


def changes(record: Record, note: Note) -> Fields:
    """The edits that bring what changed at the source since the last import.

    What was edited only here stays: each side is compared with what was imported, not with the other.
    """
    before = _source(record).get("imported")
    imported: Mapping[str, Any] = before if isinstance(before, Mapping) else {}
    fields: Fields = {"source": fields_of(note)["source"]}
    for name, value in (("title", note.title), ("created", note.created_ms), ("starred", note.starred)):
        if imported.get(name) != value:
            fields[name] = value
    had = imported.get("tags")
    tags = had if isinstance(had, list) else []
    gone = [Remove(tag) for tag in tags if tag not in note.tags]
    come = [Add(tag) for tag in note.tags if tag not in tags]
    if gone or come:
        fields["tags"] = [*gone, *come]
    if _source(record).get("text") != _text_digest(note.front + note.body):
        fields |= {"front": note.front, "body": note.body}
    if record.fields.get("meta", {}) != note.meta:
        fields["meta"] = dict(note.meta)
    return fields


def _edited_on_both_sides(record: Record, note: Note) -> bool:
    here = f"{record.fields.get('front') or ''}{record.fields.get('body') or ''}"
    there = note.front + note.body
    imported = _source(record).get("text")
    return here != there and imported not in (_text_digest(here), _text_digest(there))


def _source(record: Record) -> Mapping[str, Any]:
    source = record.fields.get("source")
    return source if isinstance(source, Mapping) else {}


def _text_digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _digest(note: Note) -> str:
    """What changes when anything of a note changes, but a file's date: copying a folder is not an edit."""
    created = None if note.created_from_file else note.created_ms
    said = [note.title, note.front, note.body, list(note.tags), created, note.starred, dict(note.meta)]
    return sha256(canonical.encode(said)).hexdigest()
