"""Accesses: counted here, and written together once a day, so that no change tells when something was read.

The moment is drawn by chance for the day after the first access that is not written yet; the first sync
after it writes one increment an object (spec/merge.md#counter).
"""

from __future__ import annotations

from typing import Final

from echolia.client import reading
from echolia.client.database import Database
from echolia.client.editing import Editor
from echolia.client.environment import Environment
from echolia.client.identity import Identity
from echolia.client.replica import Replica
from echolia.client.reports import Changed
from echolia.core import merge
from echolia.core.clock import Stamp
from echolia.core.collections import Collection
from echolia.core.dots import Dot
from echolia.core.errors import EcholiaError
from echolia.core.merge import Increment, ObjectState

_DAY_MS: Final = 86_400_000
_DUE: Final = "accesses_due_ms"
_AT_ONCE: Final = 1000
# Nothing to write to any more, or nothing more to count.
_DROPPED: Final = {"object_unknown", "object_in_trash", "value_invalid", "body_too_large"}


def count(replica: Replica, collection: Collection, id_: bytes, field: str) -> None:
    """See `Collection.touch`."""
    if collection.policy(field) != "counter":
        raise EcholiaError("field_policy", "counter")
    database = replica.database
    reading.get(database, collection.name, id_)
    with database.transaction():
        database.run(
            "INSERT INTO accesses VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET times = times + 1",
            id_, field, collection.name,
        )  # fmt: skip
        if database.get(_DUE) is None:
            database.put(_DUE, _drawn(replica.environment))


def _drawn(environment: Environment) -> int:
    """Some moment of the next UTC day."""
    tomorrow = environment.now_ms() // _DAY_MS + 1
    return tomorrow * _DAY_MS + int(environment.jitter() * _DAY_MS)


async def write_if_due(replica: Replica) -> None:
    """Write what was counted, once its moment has come."""
    written = await replica.run(_write_if_due, replica)
    if written:
        replica.tell(Changed(frozenset(id_.hex() for id_ in written)))


def _write_if_due(replica: Replica) -> list[bytes]:
    database, environment = replica.database, replica.environment
    due_ms, now_ms = database.get(_DUE), environment.now_ms()
    if due_ms is not None and due_ms - now_ms > 2 * _DAY_MS:  # it was drawn while the clock was ahead
        due_ms = _drawn(environment)
        database.put(_DUE, due_ms)
    if due_ms is None or now_ms < due_ms:
        return []
    with database.transaction():
        editor = Editor(database, replica.identity, environment)
        rows = database.rows("SELECT object, field, collection, times FROM accesses LIMIT ?", _AT_ONCE)
        done = [id_ for id_, *rest in rows if _written(database, editor, replica.identity, id_, *rest)]
        editor.finish()
        left = database.value("SELECT 1 FROM accesses LIMIT 1")
        database.put(_DUE, None if left is None else _drawn(environment))
    return done


def _written(
    database: Database, editor: Editor, identity: Identity, id_: bytes, field: str, name: str, times: int
) -> bool:
    """Write one increment; what cannot be written now waits for another day, what never can is dropped."""
    collection = identity.declared.get(name)
    if collection is None:
        return False

    def make(state: ObjectState | None, dot: Dot, stamp: Stamp) -> ObjectState:
        if state is None:
            raise EcholiaError("object_unknown")
        return merge.write(collection, state, {field: Increment(times)}, dot, stamp, identity.peer)

    try:
        written = editor.edit(id_, name, make) is not None
    except EcholiaError as error:
        if error.code == "object_quarantined":
            return False
        if error.code not in _DROPPED:
            raise
        written = False
    database.run("DELETE FROM accesses WHERE object = ? AND field = ?", id_, field)
    return written
