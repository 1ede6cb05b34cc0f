"""Versions: what the history keeps of an object, and the edits that bring one of them back."""

from __future__ import annotations

from typing import Any, Final

from echolia.client import reading
from echolia.client.database import Database
from echolia.client.history import unpacked
from echolia.client.presentation import choices
from echolia.client.reports import Record, Version
from echolia.core.collections import Collection, Policy
from echolia.core.errors import EcholiaError
from echolia.core.merge import Value

_SELECT: Final = "SELECT n, at_ms, device, kept_ms, replaced_by, view, field IS NULL FROM versions"
NOTHING: Final[dict[Policy, Value]] = {"lww": None, "multi": None, "set": [], "text": ""}


def listed(database: Database, collection: str, id_: bytes) -> list[Version]:
    """See `Collection.history`."""
    reading.get(database, collection, id_)
    rows = database.rows(f"{_SELECT} WHERE object = ? ORDER BY n DESC", id_)
    return [_version(database, row) for row in rows]


def fields_of(database: Database, collection: Collection, id_: bytes, number: int) -> dict[str, Value]:
    """What the fields have to be for an object to read as a version did; raises `version_unknown`.

    Counts stay what they are, and so does a conflict that both have: it was not decided then either.
    """
    record = reading.get(database, collection.name, id_)
    row = database.row(f"{_SELECT} WHERE object = ? AND n = ?", id_, number)
    if row is None:
        raise EcholiaError("version_unknown")
    version = _version(database, row)
    names = version.fields if version.kind == "loser" else {**record.fields, **version.fields}
    return {
        name: version.fields.get(name, NOTHING[policy])
        for name in names
        if (policy := collection.fields.get(name)) in NOTHING and not _undecided(version, record, name)
    }


def _undecided(version: Version, record: Record, name: str) -> bool:
    return name in version.conflicts and version.conflicts[name] == record.conflicts.get(name)


def _version(database: Database, row: tuple[Any, ...]) -> Version:
    n, at_ms, device, kept_ms, replaced_by, packed, whole = row
    presentation = unpacked(packed)
    return Version(
        n,
        "version" if whole else "loser",
        presentation.fields,
        device.hex(),
        at_ms,
        kept_ms,
        replaced_by.hex(),
        choices(database, presentation),
    )
