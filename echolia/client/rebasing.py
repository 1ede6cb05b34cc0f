"""Starting again on the log: what is shown and unsent stays, the rest is read anew (`spec/checkpoints.md`).

Because the server came back from a backup, because this device was away for so long that the log was
compacted meanwhile, or because changes that it took were cut off by a revocation: joins cannot be undone.
Each step is a transaction of its own, and whatever interrupts it, the next sync goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from echolia.client import late, ledger, notices, objects
from echolia.client.database import Database
from echolia.client.editing import Editor
from echolia.client.history import Occasion
from echolia.client.replica import Replica
from echolia.client.reports import Changed
from echolia.core import merge
from echolia.core.dots import Dot
from echolia.core.errors import EcholiaError
from echolia.core.merge import ObjectState, dominates, join

Reason: TypeAlias = Literal["restored", "parked", "cut_off", "upgrade"]
_OBJECTS_AT_ONCE: Final = 200
_FORMER: Final = ("former_epoch", "former_seq", "former_log")
_FORGET: Final = (
    "DELETE FROM runs",
    "DELETE FROM base",
    "DELETE FROM heads",
    "DELETE FROM changes",
    "DELETE FROM acks",
    "DELETE FROM quarantine",
    "DELETE FROM reading",
    "DELETE FROM reading_states",
)


def due(database: Database) -> Reason | None:
    """Why the log has to be read again, or is being read again."""
    reason: Reason | None = database.get("rebase")
    return reason


def begin(replica: Replica, reason: Reason) -> None:
    """Set aside what is confirmed, and begin to read; what is shown and what is unsent stays as it is."""
    database = replica.database
    if reason != "restored":
        reason = due(database) or reason
    with database.transaction():
        if database.get("rebasing") is None:
            database.run(
                "INSERT INTO rebase_confirmed SELECT id, confirmed FROM objects WHERE confirmed IS NOT NULL"
            )
            database.run("INSERT INTO rebase_heads SELECT * FROM heads")
            at = ledger.position(database, replica.identity.account)
            for name, value in zip(_FORMER, at, strict=True):
                database.put(name, value)
            if reason == "parked":
                late.note(database, replica.environment.now_ms())
        database.run("UPDATE objects SET shown = coalesce(shown, confirmed), confirmed = NULL")
        for forget in _FORGET:
            database.run(forget)
        database.run("DELETE FROM meta WHERE name IN ('epoch', 'stored', 'acknowledged')")
        database.put("rebase", reason)
        database.put("rebasing", 1)


def begin_if_due(replica: Replica, status: Mapping[str, Any]) -> bool:
    """Whether the log is being read again, from now on if it was only due.

    So it is where the server's log begins behind what was read, before any late edit is sent.
    """
    reason, base = due(replica.database), status.get("base")
    at = ledger.position(replica.database, replica.identity.account)
    if reason is None and at.epoch and type(base) is int and at.seq < base:
        reason = "parked"
    if reason is not None and replica.database.get("rebasing") is None:
        begin(replica, reason)
    return reason is not None


def lost(database: Database) -> frozenset[bytes]:
    """The devices of which the log has less than was verified before it was read again."""
    now = ledger.heads(database)
    return frozenset(
        device
        for device, former in ledger.former_heads(database).items()
        if device not in now or now[device].counter < former.counter
    )


def check(replica: Replica) -> None:
    """In one epoch a log never gets shorter or another: raises `log_rolled_back`, `log_rewritten`."""
    database, account = replica.database, replica.identity.account
    at = ledger.position(database, account)
    epoch, seq, log = (database.get(name) for name in _FORMER)
    if at.epoch != epoch:
        return
    if at.seq < seq:
        raise EcholiaError("log_rolled_back", f"at {at.seq}, this device verified {seq}")
    known = ledger.log_at(database, account, epoch, seq)
    if known not in (None, log):
        raise EcholiaError("log_rewritten", f"position {seq} was another one before")


async def finish(replica: Replica) -> frozenset[str]:
    """The log is read to its end: show what it says, and bring back what it has lost.

    Gives the ids of the objects that newly wait for a decision.
    """
    waiting: set[str] = set()
    while (changed := await replica.run(_some, replica)) is not None:
        replica.tell(changed)
        waiting |= changed.conflicts
    await replica.run(_done, replica)
    return frozenset(waiting)


def _some(replica: Replica) -> Changed | None:
    """Settle the next objects; None once all are."""
    database = replica.database
    with database.transaction():
        ids = database.rows(
            "SELECT object FROM rebase_confirmed UNION SELECT object FROM late WHERE others IS NULL"
            " UNION SELECT id FROM objects WHERE confirmed IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM outbox WHERE object = id) LIMIT ?",
            _OBJECTS_AT_ONCE,
        )
        if not ids:
            return None
        missing = bool(lost(database))
        editor = Editor(database, replica.identity, replica.environment)
        waiting = frozenset(
            id_.hex() for (id_,) in ids if _settle(replica, editor, id_, missing=missing)
        )  # fmt: skip
        editor.finish()
    return Changed(frozenset(id_.hex() for (id_,) in ids), waiting)


def _settle(replica: Replica, editor: Editor, id_: bytes, *, missing: bool) -> bool:
    """Show an object as the log has it, with what is to be brought back; whether it newly waits."""
    database, row = replica.database, objects.load(replica.database, id_)
    raw = database.value("SELECT confirmed FROM rebase_confirmed WHERE object = ?", id_)
    database.run("DELETE FROM rebase_confirmed WHERE object = ?", id_)
    if row is None:
        late.forget(database, id_)
        return False
    former = None if raw is None else objects.read_state(raw)
    confirmed = None if row.confirmed is None else objects.read_state(row.confirmed)
    pending = [
        objects.read_state(plaintext)
        for (plaintext,) in database.rows(
            "SELECT plaintext FROM outbox WHERE object = ? ORDER BY counter", id_
        )
    ]
    shown = _joined([confirmed, *pending])
    back = former is not None and missing and not (shown is not None and dominates(shown, former))
    if shown is None and not back:
        objects.remove(database, row)
        return False
    declared = replica.identity.declared.get(row.collection)
    waits = late.settle(database, id_, confirmed, shown, declared)
    if shown is not None:
        row = row.with_pending(shown if pending else None)
        waits |= objects.save(database, row, shown, declared, Occasion(b"", replica.environment.now_ms()))
    if back and former is not None and not objects.is_quarantined(database, id_):
        editor.edit(id_, row.collection, lambda current, dot, _: reasserted(current, former, dot), whole=True)
    return waits


def reasserted(current: ObjectState | None, former: ObjectState, dot: Dot) -> ObjectState:
    """The whole object with all that was ever verified of it, as a change of its own."""
    state = former if current is None else join(current, former)
    if not state.alive and not state.recovered:
        return merge.delete(state, dot)
    return merge.whole(state, dot)


def _joined(states: list[ObjectState | None]) -> ObjectState | None:
    shown: ObjectState | None = None
    for state in states:
        if state is not None:
            shown = state if shown is None else join(shown, state)
    return shown


def _done(replica: Replica) -> None:
    database = replica.database
    with database.transaction():
        reason = due(database)
        if reason == "restored":
            notices.add(database, "server_restored", replica.environment.now_ms())
        database.run("DELETE FROM rebase_heads")
        database.run("DELETE FROM meta WHERE name IN ('rebase', 'rebasing') OR name GLOB 'former_*'")
