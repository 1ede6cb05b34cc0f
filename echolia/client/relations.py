"""Relations: what an object says it comes from, and what says that it comes from an object.

A relation is an id in a set field. What it names may be in the Trash, gone, or not have arrived: that is
told apart and never an error.
"""

from __future__ import annotations

from echolia.client import reading
from echolia.client.database import Database
from echolia.client.reports import Record, Source
from echolia.core.collections import Collection, is_object_id
from echolia.core.errors import EcholiaError


def sources(database: Database, collection: Collection, id_: bytes, field: str) -> list[Source]:
    """See `Collection.sources`."""
    if collection.policy(field) != "set":
        raise EcholiaError("field_policy", "set")
    named = reading.get(database, collection.name, id_).fields.get(field)
    members = named if isinstance(named, list) else []
    return [_source(database, str(member)) for member in members if is_object_id(member)]


def _source(database: Database, named: str) -> Source:
    record = reading.found(database, bytes.fromhex(named))
    if record is not None:
        return Source(named, "here" if record.alive else "trash", record)
    gone = database.value("SELECT 1 FROM gone WHERE object = ?", bytes.fromhex(named))
    return Source(named, "not_here" if gone is None else "gone")


def citing(database: Database, collection: Collection, named: str, field: str) -> list[Record]:
    """See `Collection.citing`."""
    if collection.policy(field) != "set":
        raise EcholiaError("field_policy", "set")
    reading.object_id(named)
    # The search index holds every text of an object, an id in a set too; it is asked, and then checked.
    records = reading.holding(database, collection.name, named)
    return [record for record in records if named in _members(record, field)]


def _members(record: Record, field: str) -> list[object]:
    members = record.fields.get(field)
    return list(members) if isinstance(members, list) else []
