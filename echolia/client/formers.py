"""Formers: what objects showed before other devices changed them, kept so that it can be counted and undone.

A row stands for what others did to one object within a minute: a text that somebody types elsewhere would be
kept over and over otherwise. It holds the fields that changed, and for each a hash of what it shows since, by
which a later edit made here is known.
"""

from __future__ import annotations

from collections.abc import Collection as Devices
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, NamedTuple

import cbor2

from echolia.client import places
from echolia.client.database import Database
from echolia.client.objects import ObjectRow
from echolia.client.presentation import Presentation, present
from echolia.client.reports import Loss, titled
from echolia.core import canonical
from echolia.core.collections import Collection
from echolia.core.errors import EcholiaError
from echolia.core.merge import ObjectState, Value
from echolia.core.merge.fields import parts_of

SPAN_MS: Final = 60_000
MOST_EXAMPLES: Final = 10
_ID_BYTES: Final = 16
_DIGEST_BYTES: Final = 16
_NOTHING: Final[tuple[Value, ...]] = (None, "", [], {})
_INSERT: Final = """
INSERT INTO former (object, at_ms, devices, deleted, lost, fields) VALUES (?, ?, ?, ?, ?, ?)
"""
_LAST: Final = """
SELECT n, devices, deleted, fields FROM former WHERE object = ? AND brake IS NULL AND at_ms >= ?
ORDER BY at_ms DESC, n DESC LIMIT 1
"""


class Was(NamedTuple):
    """A field before: what it showed, a hash of what it shows since, and whether anything was lost."""

    value: Value
    since: bytes
    lost: bool


@dataclass(frozen=True, slots=True)
class Former:
    """What other devices did to one object: who, whether it was deleted, and its fields before."""

    devices: frozenset[bytes]
    deleted: bool
    fields: Mapping[str, Was] = field(repr=False)

    def then(self, later: Former) -> Former:
        """Both, one after the other; a field that shows again what it did was not changed."""
        fields = dict(self.fields)
        for name, was in later.fields.items():
            before = fields.get(name)
            if before is None or before.since != digest(was.value):  # else it was edited here in between
                before = was
            fields[name] = Was(before.value, was.since, before.lost or was.lost)
        changed = {name: was for name, was in fields.items() if digest(was.value) != was.since}
        return Former(self.devices | later.devices, self.deleted or later.deleted, changed)

    @classmethod
    def read(cls, devices: bytes, deleted: int, fields: bytes) -> Former:
        """What `columns` wrote; raises `home_damaged`."""
        try:
            found = {str(name): Was(*was) for name, was in cbor2.loads(fields).items()}
        except Exception:  # noqa: BLE001  # whatever a parser meets in damaged bytes has one answer
            raise EcholiaError("home_damaged", "what an object showed before cannot be read") from None
        return cls(split_ids(devices), bool(deleted), found)

    def columns(self) -> tuple[bytes, int, int, bytes]:
        """As it lies in the database: devices, deleted, lost, fields."""
        lost = any(was.lost for was in self.fields.values())
        fields = cbor2.dumps({name: list(was) for name, was in self.fields.items()})
        return b"".join(sorted(self.devices)), int(self.deleted), int(lost), fields


def split_ids(joined: bytes) -> frozenset[bytes]:
    """Device ids that were written one behind the other."""
    return frozenset(joined[at : at + _ID_BYTES] for at in range(0, len(joined), _ID_BYTES))


def digest(value: Value) -> bytes:
    """A hash that tells any two values apart, 1 and True included."""
    return sha256(canonical.encode(value)).digest()[:_DIGEST_BYTES]


class Formers:
    """Notes what the objects that are applied showed before; use it inside `Database.transaction`.

    Only objects count that this device held when it last held the whole log: what comes and goes while a
    device catches up, and all of a first sync, was never shown to anybody here.
    """

    def __init__(self, database: Database, now_ms: int) -> None:
        self._database, self._now_ms = database, now_ms
        self._held_until = places.held_until(database)
        self.examples: list[Loss] = []

    def note(
        self, row: ObjectRow, devices: Devices[bytes], shown: ObjectState, declared: Collection | None
    ) -> None:
        """An object is about to be saved; `row` is as it was, `devices` are the others that changed it."""
        if declared is not None and declared.derived:
            return
        if not devices or row.n is None or not row.view or not self._counts(row):
            return
        before = Presentation.decode(row.view)
        fields = dict(_changed(before, present(shown, declared), shown))
        if fields or not shown.alive:
            self._keep(row.id, Former(frozenset(devices), not shown.alive, fields))
            if not shown.alive or any(was.lost for was in fields.values()):
                self._remember(Loss(row.id.hex(), titled(before.fields), not shown.alive))

    def _counts(self, row: ObjectRow) -> bool:
        if self._held_until is None or places.first_of(self._database, row.id) > self._held_until:
            return False
        return bool(self._database.value("SELECT alive FROM objects WHERE n = ?", row.n))

    def _remember(self, loss: Loss) -> None:
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(loss)

    def _keep(self, object_: bytes, former: Former) -> None:
        # What was deleted stands apart: undoing that must not undo what was edited a moment before.
        last = None if former.deleted else self._database.row(_LAST, object_, self._now_ms - SPAN_MS)
        if last is None or last[2]:
            self._database.run(_INSERT, object_, self._now_ms, *former.columns())
            return
        n, *columns = last
        self._database.run(
            "UPDATE former SET devices = ?, deleted = ?, lost = ?, fields = ? WHERE n = ?",
            *Former.read(*columns).then(former).columns(), n,
        )  # fmt: skip


def _changed(before: Presentation, after: Presentation, state: ObjectState) -> Iterator[tuple[str, Was]]:
    """The fields that show something else now; counters are never set back, so they do not count."""
    for name in sorted(before.fields.keys() | after.fields.keys()):
        kinds = {part.tag for part in parts_of(state.fields.get(name))}
        old, new = before.fields.get(name), after.fields.get(name)
        if kinds == {"counter"} or _same(old, new):
            continue
        beside = (value for value, _, _ in after.conflicts.get(name, ()))
        if not any(_same(old, value) for value in beside):  # else it still stands there
            yield name, Was(old, digest(new), _loses(old, new, kinds))


def _same(one: Value, other: Value) -> bool:
    """Whether two values are the same; most are texts, which need no hash to be compared."""
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return digest(one) == digest(other)


def _loses(old: Value, new: Value, kinds: set[str]) -> bool:
    """Whether the field showed something that it shows no more."""
    if "set" in kinds and isinstance(old, list) and isinstance(new, list):
        return not {digest(member) for member in old} <= {digest(member) for member in new}
    return old not in _NOTHING


def of_brake(database: Database, brake: int, limit: int) -> list[tuple[bytes, Former]]:
    """Some objects of a mass change, each with all that was done to it."""
    found: list[tuple[bytes, Former]] = []
    ids = database.rows("SELECT DISTINCT object FROM former WHERE brake = ? LIMIT ?", brake, limit)
    for (object_,) in ids:
        rows: list[tuple[Any, ...]] = database.rows(
            "SELECT devices, deleted, fields FROM former WHERE brake = ? AND object = ? ORDER BY n",
            brake,
            object_,
        )
        first, *later = (Former.read(*row) for row in rows)
        for former in later:
            first = first.then(former)
        found.append((object_, first))
    return found


def forget(database: Database, brake: int, object_: bytes) -> None:
    """What a mass change did to an object is undone, or stays."""
    database.run("DELETE FROM former WHERE brake = ? AND object = ?", brake, object_)
