"""Object rows: what is confirmed, what is shown, and the listing and search index that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from echolia.client import history
from echolia.client.database import Database
from echolia.client.history import Occasion, Session
from echolia.client.presentation import Presentation, present
from echolia.core.collections import Collection
from echolia.core.errors import EcholiaError
from echolia.core.merge import ObjectState, decode, encode

_COLUMNS = (
    "session_device, session_ms, alive, recovered,"
    " n, id, collection, confirmed, shown, view, updated_ms, generation, wrapped, state_bytes, delta_bytes"
)
_SAVE = """
INSERT INTO objects (n, id, collection, confirmed, shown, view, updated_ms, generation, wrapped, state_bytes,
    delta_bytes, created, alive, recovered, conflicts, session_device, session_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (n) DO UPDATE SET collection = excluded.collection, confirmed = excluded.confirmed,
    shown = excluded.shown, view = excluded.view, updated_ms = excluded.updated_ms,
    generation = excluded.generation, wrapped = excluded.wrapped, state_bytes = excluded.state_bytes,
    delta_bytes = excluded.delta_bytes, created = excluded.created, alive = excluded.alive,
    recovered = excluded.recovered, conflicts = excluded.conflicts,
    session_device = excluded.session_device, session_ms = excluded.session_ms
"""
_UNINDEX = "INSERT INTO search (search, rowid, title, body) VALUES ('delete', ?, ?, ?)"
_INDEX = "INSERT INTO search (rowid, title, body) VALUES (?, ?, ?)"


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """An object as it lies in the database; `n` is None until it does.

    `state_bytes` is the size of its last whole state, `delta_bytes` of what was added since; `view`, `alive`,
    `recovered` and `session` are of what was shown when it was loaded.
    """

    id: bytes
    collection: str
    n: int | None = None
    confirmed: bytes | None = field(default=None, repr=False)
    shown: bytes | None = field(default=None, repr=False)
    view: bytes = field(default=b"", repr=False)
    updated_ms: int = 0
    generation: int = 0
    wrapped: bytes = b""
    state_bytes: int = 0
    delta_bytes: int = 0
    alive: bool = True
    recovered: bool = False
    session: Session = field(default_factory=Session)

    @property
    def present(self) -> bytes | None:
        """The state that is shown: the confirmed one, unless something is pending."""
        return self.confirmed if self.shown is None else self.shown

    def state(self) -> ObjectState | None:
        """The state that is shown."""
        raw = self.present
        return None if raw is None else read_state(raw)

    def with_pending(self, state: ObjectState | None, raw: bytes | None = None) -> ObjectRow:
        """The row that shows this state on top of what is confirmed; None: just what is confirmed."""
        return replace(self, shown=None if state is None else raw or encode(state))


def read_state(raw: bytes) -> ObjectState:
    """A state that this device wrote into its own database; raises `home_damaged`."""
    try:
        return decode(raw)
    except EcholiaError:
        raise EcholiaError("home_damaged", "an object cannot be read") from None


def load(database: Database, id_: bytes) -> ObjectRow | None:
    """The row of an object, or None."""
    row = database.row(f"SELECT {_COLUMNS} FROM objects WHERE id = ?", id_)  # noqa: S608  # a constant
    if row is None:
        return None
    device, begun_ms, alive, recovered, n, id_, collection, *rest = row
    found = ObjectRow(id_, collection, n, *rest)
    return replace(found, alive=alive, recovered=recovered, session=Session(device, begun_ms))


def save(
    database: Database,
    row: ObjectRow,
    state: ObjectState,
    declared: Collection | None,
    occasion: Occasion | None,
) -> bool:
    """Write a row whose shown state is `state`, with its listing, its place in the search index, its history.

    `occasion` says who changes what is shown; None leaves no history. Gives whether the object newly waits
    for a decision.
    """
    shown, before = present(state, declared), Presentation.decode(row.view) if row.view else None
    view, session = shown.encode(), row.session
    if occasion is not None and before is None:
        session = Session(occasion.device, occasion.now_ms)
    elif occasion is not None and before is not None and view != row.view:
        session = history.keep(database, row.id, session, before, state, shown, occasion)
    n = database.run(
        _SAVE, row.n, row.id, row.collection, row.confirmed, row.shown, view, row.updated_ms, row.generation,
        row.wrapped, row.state_bytes, row.delta_bytes, shown.created, state.alive, state.recovered,
        len(shown.conflicts), *session,
    )  # fmt: skip
    if view != row.view:
        if before is not None:
            database.run(_UNINDEX, row.n, *before.words())
        database.run(_INDEX, row.n or n, *shown.words())
    waited = frozenset[str]() if before is None else _waiting(row.alive, row.recovered, before)
    return not _waiting(state.alive, state.recovered, shown) <= waited


def _waiting(alive: bool, recovered: bool, shown: Presentation) -> frozenset[str]:
    """What a person has to decide about an object: the fields in conflict, or that it came back ("")."""
    return frozenset(shown.conflicts) if alive else frozenset({""} if recovered else ())


def remove(database: Database, row: ObjectRow) -> None:
    """Take an object out altogether: nothing that counts was ever written about it."""
    if row.n is not None:
        database.run(_UNINDEX, row.n, *Presentation.decode(row.view).words())
        database.run("DELETE FROM objects WHERE n = ?", row.n)
        history.forget(database, row.id)
        database.run("INSERT OR IGNORE INTO gone VALUES (?)", row.id)


def is_quarantined(database: Database, id_: bytes) -> bool:
    """Whether a change of this object could not be read."""
    return database.value("SELECT 1 FROM quarantine WHERE object = ? LIMIT 1", id_) is not None
