"""Rewinding: what a mass change did is undone by ordinary edits of this device, and syncs as such.

What was deleted is taken out of the Trash, what was overwritten is set back to what it showed, texts by their
differences. What was edited here since stays as it is, and so do counters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from echolia.client import brakes, formers, objects
from echolia.client.editing import Editor
from echolia.client.formers import Former, digest
from echolia.client.objects import ObjectRow
from echolia.client.plain_values import Edit
from echolia.client.presentation import Presentation
from echolia.client.replica import Order, Replica, carry_out
from echolia.client.reports import Changed, Rewound
from echolia.core.collections import Collection
from echolia.core.errors import EcholiaError

# Objects a transaction: each is edited, sealed and kept for sending.
_PORTION: Final = 200
_EMPTY: Final = {"text": "", "set": []}
# Why one object cannot be edited; it must not hold up the others.
_LEAVES: Final = {
    "body_too_large", "field_policy", "object_in_trash", "object_quarantined", "object_unknown",
    "value_invalid",
}  # fmt: skip


@dataclass(slots=True)
class _Tally:
    """What was undone so far."""

    restored: int = 0
    set_back: int = 0
    left: int = 0

    def rewound(self) -> Rewound:
        return Rewound(self.restored, self.set_back, self.left)


async def rewind(replica: Replica, since_ms: int | None) -> Rewound:
    """See `Device.rewind`."""
    brake = await replica.run(_begun, replica, since_ms)
    return Rewound(0, 0, 0) if brake is None else await undo(replica, brake)


def _begun(replica: Replica, since_ms: int | None) -> int | None:
    database = replica.database
    if brakes.waiting(database) is not None:
        raise EcholiaError("mass_change", "decide about the one that waits first")
    with database.transaction():
        if since_ms is None:
            return brakes.rewind_last(database)
        return brakes.rewind_since(database, replica.environment.now_ms(), since_ms)


async def undo(replica: Replica, brake: int) -> Rewound:
    """Undo a mass change; interrupted, it goes on at the next call."""
    tally = _Tally()
    while (changed := await replica.run(_portion, replica, brake, tally)) is not None:
        if changed:
            replica.tell(Changed(changed))
    return tally.rewound()


def _portion(replica: Replica, brake: int, tally: _Tally) -> frozenset[str] | None:
    """Undo some objects; what changed by it, or None where nothing is left to do."""
    database, changed = replica.database, set[str]()
    with database.transaction():
        found = formers.of_brake(database, brake, _PORTION)
        if not found:
            brakes.end(database, brake)
            return None
        editor = Editor(database, replica.identity, replica.environment)
        for object_, former in found:
            if _undo_one(replica, editor, object_, former, tally):
                changed.add(object_.hex())
            formers.forget(database, brake, object_)
        editor.finish()
    return frozenset(changed)


def _undo_one(replica: Replica, editor: Editor, object_: bytes, former: Former, tally: _Tally) -> bool:
    row = objects.load(replica.database, object_)
    collection = replica.identity.declared.get(row.collection) if row else None
    if row is None or collection is None:
        tally.left += 1
        return False
    alive = bool(replica.database.value("SELECT alive FROM objects WHERE n = ?", row.n))
    fields, passed_over = _former_values(row, former, collection)
    restores, sets_back = former.deleted and not alive, bool(fields) and (alive or former.deleted)
    try:
        if restores:
            carry_out(editor, replica.identity, Order("restore", row.collection, object_, {}))
            tally.restored += 1
        if sets_back:
            carry_out(editor, replica.identity, Order("update", row.collection, object_, fields))
            tally.set_back += 1
    except EcholiaError as error:
        if error.code not in _LEAVES:
            raise
        tally.left += 1
        return restores
    tally.left += passed_over and not (restores or sets_back)
    return restores or sets_back


def _former_values(row: ObjectRow, former: Former, collection: Collection) -> tuple[dict[str, Edit], bool]:
    """What to set back, and whether a field was passed over because it was edited since."""
    shown, fields = Presentation.decode(row.view).fields, dict[str, Edit]()
    for name, was in former.fields.items():
        policy = collection.fields.get(name)
        if policy is None or digest(shown.get(name)) != was.since:
            continue
        fields[name] = _EMPTY.get(policy) if was.value is None else was.value
    return fields, len(fields) < len(former.fields)
