"""Conflicts: what waits for a decision, with all that is known of its sides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from echolia.client import late, ledger, objects, reading
from echolia.client.database import Database
from echolia.client.replica import Replica
from echolia.client.reports import Conflict, Origin, Record, Sides
from echolia.core.dots import Dot
from echolia.core.merge import ObjectState, merged_preview
from echolia.core.merge.fields import Mixed

# Word for word the condition of an index, or all objects would be looked at.
WAITING: Final = "recovered OR (alive AND conflicts)"
_LAST: Final = 2**63


def waiting(replica: Replica, limit: int | None = None) -> list[Conflict]:
    """See `Device.conflicts`."""
    database = replica.database
    rows = database.rows(
        f"SELECT id FROM objects WHERE {WAITING} ORDER BY updated_ms DESC, n DESC LIMIT ?",  # noqa: S608  # a constant
        -1 if limit is None else limit,
    )
    found = [_conflict(database, replica.identity.device, id_) for (id_,) in rows]
    return found + late.waiting(database, None if limit is None else limit - len(found))


def _conflict(database: Database, own: bytes, id_: bytes) -> Conflict:
    row = objects.load(database, id_)
    state = row.state() if row is not None else None
    assert row is not None and state is not None, "it was just listed"
    record = reading.get(database, row.collection, id_)
    sides = {name: _sides(state, record, name) for name in record.conflicts}
    if not state.recovered:
        return Conflict(record, sides)
    assert state.life is not None, "what lies in the Trash has a life"
    seen = state.life.seen
    edits = [dot for dot in _dots(state.dots.items()) if dot.counter > seen.get(dot.device, 0)]
    deletion = _newest(database, own, _dots(seen.items()))
    return Conflict(record, sides, deletion, tuple(_origin(database, dot) for dot in sorted(edits)))


def _sides(state: ObjectState, record: Record, name: str) -> Sides:
    choices = record.conflicts[name]
    merged = merged_preview([choice.value for choice in choices])
    return Sides(choices, merged, isinstance(state.fields[name], Mixed))


def _newest(database: Database, own: bytes, dots: Iterable[Dot]) -> Origin | None:
    """The one of these that was logged last: who deleted an object had seen all the others before."""

    def logged(dot: Dot) -> tuple[int, Dot]:
        at_ms = ledger.received_ms(database, dot.device, dot.counter)
        unsent = at_ms is None and dot.device == own
        return (_LAST if unsent else at_ms or 0), dot

    newest = max(dots, key=logged, default=None)
    return None if newest is None else _origin(database, newest)


def _origin(database: Database, dot: Dot) -> Origin:
    return Origin(dot.device.hex(), dot.counter, ledger.received_ms(database, dot.device, dot.counter))


def _dots(counters: Iterable[tuple[bytes, int]]) -> list[Dot]:
    return [Dot(device, counter) for device, counter in counters]
