"""Late edits: made on a device that was away until the log was compacted without it, and sent since.

They merge like all others; the person is shown what they changed, and may take them back.
"""

from __future__ import annotations

from typing import Final

from echolia.client import objects, presentation, reading
from echolia.client.database import Database
from echolia.client.history import changed, packed, unpacked
from echolia.client.plain_values import Edit
from echolia.client.presentation import Presentation
from echolia.client.replica import Order, Replica
from echolia.client.reports import Conflict, Record
from echolia.client.versions import NOTHING
from echolia.core.collections import Collection
from echolia.core.errors import EcholiaError
from echolia.core.merge import ObjectState, dominates

# What waits for another decision comes here once that is made.
_WAITING: Final = """
FROM late JOIN objects ON id = object WHERE others IS NOT NULL AND alive AND NOT recovered AND NOT conflicts
"""


def note(database: Database, now_ms: int) -> None:
    """Remember what unsent edits led to, before the log is read again."""
    database.run(
        "INSERT OR IGNORE INTO late SELECT id, ?, shown, NULL FROM objects"
        " WHERE id IN (SELECT object FROM outbox)",
        now_ms,
    )


def renote(database: Database) -> None:
    """What was unsent was made anew: the former changes may contradict the log, and are never to meet it."""
    database.run("DELETE FROM late WHERE others IS NULL AND object NOT IN (SELECT object FROM outbox)")
    database.run(
        "UPDATE late SET shown = objects.shown FROM objects WHERE objects.id = object AND others IS NULL"
    )


def settle(
    database: Database, id_: bytes, confirmed: ObjectState | None, shown: ObjectState | None,
    declared: Collection | None,
) -> bool:  # fmt: skip
    """The log is read: whether others changed meanwhile what was edited here, and it shows otherwise now."""
    mine = database.value("SELECT shown FROM late WHERE object = ? AND others IS NULL", id_)
    if mine is None:
        return False
    if confirmed is None or shown is None or dominates(objects.read_state(mine), confirmed):
        forget(database, id_)
        return False
    theirs = presentation.present(confirmed, declared)
    names = changed(theirs, presentation.present(shown, declared))
    if not names:
        forget(database, id_)
        return False
    others = Presentation({name: theirs.fields.get(name) for name in names}, {})
    database.run("UPDATE late SET others = ?, shown = x'' WHERE object = ?", packed(others), id_)
    return True


def forget(database: Database, id_: bytes) -> None:
    """The person has decided, or there is nothing to decide."""
    database.run("DELETE FROM late WHERE object = ?", id_)


def count(database: Database) -> int:
    """How many objects wait for a review."""
    number: int = database.value(f"SELECT count(*) {_WAITING}")
    return number


def waiting(database: Database, limit: int | None) -> list[Conflict]:
    """The objects to be reviewed, those edited last first."""
    rows = database.rows(
        f"SELECT object, collection, at_ms, others {_WAITING} ORDER BY updated_ms DESC, n DESC LIMIT ?",
        -1 if limit is None else limit,
    )
    return [
        Conflict(reading.get(database, collection, id_), others=unpacked(raw).fields, back_ms=at_ms)
        for id_, collection, at_ms, raw in rows
    ]


async def review(replica: Replica, record: Record, *, keep: bool) -> None:
    """See `Device.review`."""
    id_ = reading.object_id(record.id)
    fields = await replica.run(_fields, replica, record.collection, id_)
    if not keep:
        await replica.edit([Order("revert", record.collection, id_, fields)])
    await replica.run(forget, replica.database, id_)


def _fields(replica: Replica, collection: str, id_: bytes) -> dict[str, Edit]:
    """What the fields have to be for the object to read as without the late edits."""
    raw = replica.database.value(f"SELECT others {_WAITING} AND object = ?", id_)  # a constant
    if raw is None:
        raise EcholiaError("conflict_changed", "nothing about it waits for a review")
    policies = replica.identity.collection(collection).fields
    return {
        name: NOTHING[policies[name]] if value is None else value
        for name, value in unpacked(raw).fields.items()
        if policies.get(name) in NOTHING
    }
