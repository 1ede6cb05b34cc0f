"""Which changes of the verified log still count, kept as it is read (`spec/checkpoints.md#live-changes`)."""

from __future__ import annotations

from collections.abc import Iterator

import cbor2

from echolia.client.database import Database
from echolia.core.checkpoints import LiveChange, in_past
from echolia.core.runs import STATE, Change, leaf


def note(database: Database, device: bytes, change: Change) -> None:
    """The log has one more change: it counts, and what it supersedes does not any more."""
    if change.kind == STATE:
        _supersede(database, device, change)
    database.run(
        "INSERT OR REPLACE INTO changes VALUES (?, ?, ?, ?)",
        device, change.counter, change.object, leaf(change),
    )  # fmt: skip


def _supersede(database: Database, device: bytes, change: Change) -> None:
    """Forget what is in the past of a whole state."""
    for other, counter in database.rows(
        "SELECT device, counter FROM changes WHERE object = ?", change.object
    ):
        if in_past(device, change.counter, change.context, other, counter):
            database.run("DELETE FROM changes WHERE device = ? AND counter = ?", other, counter)


def note_backwards(database: Database, device: bytes, change: Change) -> bool:
    """The same where later changes are read first; whether the change counts, as far as was read."""
    if change.kind == STATE:
        # What this device wrote before in the same run was read before.
        database.run(
            "DELETE FROM changes WHERE object = ? AND device = ? AND counter < ?",
            change.object, device, change.counter,
        )  # fmt: skip
        database.run(
            "INSERT OR REPLACE INTO reading_states VALUES (?, ?, ?, ?)",
            change.object, device, change.counter, cbor2.dumps(change.context),
        )  # fmt: skip
    states = database.rows(
        "SELECT device, counter, context FROM reading_states WHERE object = ?", change.object
    )  # fmt: skip
    if any(
        in_past(other, counter, cbor2.loads(context), device, change.counter)
        for other, counter, context in states
    ):
        return False
    database.run(
        "INSERT OR REPLACE INTO changes VALUES (?, ?, ?, ?)",
        device, change.counter, change.object, leaf(change),
    )  # fmt: skip
    return True


def live(database: Database) -> Iterator[LiveChange]:
    """All that counts, in the order of the root."""
    for row in database.each("SELECT device, counter, leaf FROM changes ORDER BY device, counter"):
        yield LiveChange(*row)


def any_after(database: Database, device: bytes, counter: int) -> bool:
    """Whether any change of the device that counts lies behind this one."""
    found = database.value("SELECT 1 FROM changes WHERE device = ? AND counter > ? LIMIT 1", device, counter)
    return found is not None
