"""Making unsent edits anew, under another device id (`spec/checkpoints.md#a-new-identity`).

The other copy of the home may have used the same dots and the same text operations for something else, so
none of the unsent changes may ever be sent: what they came to is written again, on what was confirmed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from typing import Final, TypeAlias

from echolia.client import objects
from echolia.client.database import Database
from echolia.client.editing import Editor
from echolia.client.identity import Identity
from echolia.client.objects import ObjectRow
from echolia.core import merge
from echolia.core.clock import Key, Stamp
from echolia.core.collections import Collection, Policy
from echolia.core.dots import Dot
from echolia.core.merge import (
    Add,
    FieldEdit,
    Increment,
    ObjectState,
    Received,
    Remove,
    ReplaceText,
    Set,
    SpliceText,
    dominates,
    encode,
    join,
)
from echolia.core.merge.fields import Field, Part, canonical_tree, parts_of
from echolia.core.merge.plaintext import dump_value
from echolia.core.merge.registers import Counter, Dotted, Register
from echolia.core.merge.text import Text

_MOST_COMPARED: Final = 4_000_000
Layer: TypeAlias = Mapping[str, tuple[Policy, list[FieldEdit]]]
Make: TypeAlias = Callable[[ObjectState | None, Dot, Stamp], ObjectState]


@dataclass(slots=True)
class Unsent:
    """An object with unsent edits: what is in the log of it, and what it shows with them.

    `before` is `base` with the keys that this device's clock claimed, as `target` has them.
    """

    object: bytes
    before: ObjectState | None = field(repr=False)
    target: ObjectState = field(repr=False)
    base: ObjectState | None = field(repr=False)


def take_out(
    database: Database, identity: Identity, former: bytes, alike: Mapping[int, int]
) -> list[Unsent]:  # fmt: skip
    """Empty the outbox of what the device `former` wrote; gives it, in the order of its first edit.

    The counters of `alike` are in the log as they are, with when they were logged (ms since 1970): they are
    not made anew, and come from there.
    """
    logged = _logged(former, alike)
    found = [
        _unsent(database, id_, max(alike, default=0), logged)
        for (id_,) in database.rows("SELECT object FROM outbox GROUP BY object ORDER BY min(counter)")
    ]
    database.run("DELETE FROM outbox")
    for unsent in found:
        row = objects.load(database, unsent.object)
        if row is not None:
            _show_without(database, identity, row, unsent.base)
    return found


def set_aside(database: Database) -> list[Unsent]:
    """Empty the outbox where the log is read again because the server has lost something; gives nothing.

    Others may have seen the very changes that wait here, which the server took and lost. Made anew they would
    count twice; so they are brought back as they are, with what was confirmed before.
    """
    for (id_,) in database.rows("SELECT DISTINCT object FROM outbox"):
        target = _unsent(database, id_, 0, lambda _: None).target
        database.run("INSERT OR REPLACE INTO rebase_confirmed VALUES (?, ?)", id_, encode(target))
    database.run("DELETE FROM outbox")
    return []


def _show_without(database: Database, identity: Identity, row: ObjectRow, base: ObjectState | None) -> None:
    """Show the object as it is without its unsent edits."""
    confirmed = None if row.confirmed is None else objects.read_state(row.confirmed)
    shown = confirmed
    if base is not None:
        shown = base if confirmed is None or dominates(base, confirmed) else join(confirmed, base)
        if confirmed is not None and dominates(confirmed, shown):
            shown = confirmed
    if shown is None:
        objects.remove(database, row)
    else:
        # What the log has and this device has not read yet is shown until it has.
        row = row.with_pending(None if shown is confirmed else shown)
        objects.save(database, row, shown, identity.declared.get(row.collection), None)


def make_again(editor: Editor, identity: Identity, unsent: Unsent) -> None:
    """Write an object's unsent edits as changes of this identity."""
    maker = _Maker(editor, identity, unsent.object, unsent.base)
    target = unsent.target
    layers = list(_layers(unsent.before, target))
    if layers or unsent.base is None:
        maker.revive()
    for layer in layers or [{}] * (unsent.base is None):
        maker.write(target, layer)
    if target.alive:
        maker.revive()
    elif not target.recovered:
        maker.bury()


@dataclass(slots=True)
class _Maker:
    """One object while it is written again; `state` is what it was confirmed as, with what is written."""

    editor: Editor
    identity: Identity
    object: bytes
    state: ObjectState | None

    def write(self, target: ObjectState, layer: Layer) -> None:
        """The edits of one layer, as one change; what was written last before stays as old as it is."""
        collection = target.collection
        declared = Collection(collection, {name: policy for name, (policy, _) in layer.items()})
        edits = {name: edits for name, (_, edits) in layer.items()}

        def make(_: ObjectState | None, dot: Dot, stamp: Stamp) -> ObjectState:
            part = merge.write(declared, self.state, edits, dot, stamp, self.identity.peer)
            fields = {
                name: _as_old(field, target.fields.get(name), dot) for name, field in part.fields.items()
            }
            return replace(part, fields=fields)

        self._make(collection, make, whole=False)

    def revive(self) -> None:
        """Take it out of the Trash, if it lies there."""
        state = self.state
        if state is not None and not state.alive:
            self._make(state.collection, lambda _, dot, __: merge.restore(state, dot), whole=True)

    def bury(self) -> None:
        """Put it into the Trash, if it does not lie there for good."""
        state = self.state
        if state is not None and (state.alive or state.recovered):
            self._make(state.collection, lambda _, dot, __: merge.delete(state, dot), whole=True)

    def _make(self, collection: str, make: Make, *, whole: bool) -> None:
        made: list[ObjectState] = []

        def kept(current: ObjectState | None, dot: Dot, stamp: Stamp) -> ObjectState:
            part = make(current, dot, stamp)
            made.append(part)
            return part if current is None or not whole else join(current, part)

        self.editor.edit(self.object, collection, kept, whole=whole)
        for part in made:
            self.state = part if self.state is None else join(self.state, part)


def _logged(device: bytes, alike: Mapping[int, int]) -> Received:
    """Its keys are read by these times, as everybody reads them; of what was superseded, by the next time."""
    counters = sorted(alike)

    def received(dot: Dot) -> int | None:
        at = bisect_left(counters, dot.counter)
        return alike[counters[at]] if dot.device == device and at < len(counters) else None

    return received


def _unsent(database: Database, id_: bytes, alike: int, logged: Received) -> Unsent:
    former = database.value("SELECT confirmed FROM rebase_confirmed WHERE object = ?", id_)
    raw = former or database.value("SELECT confirmed FROM objects WHERE id = ?", id_)
    before = target = None if raw is None else objects.read_state(raw)
    for counter, plaintext in database.rows(
        "SELECT counter, plaintext FROM outbox WHERE object = ? ORDER BY counter", id_
    ):
        state = objects.read_state(plaintext)
        target = state if target is None else join(target, state)
        before = target if counter <= alike else before
    assert target is not None, "an object in the outbox has a change there"
    return Unsent(id_, before, target, None if before is None else merge.clamp(before, logged))


def _layers(base: ObjectState | None, target: ObjectState) -> Iterator[Layer]:
    """The edits between two states; fields of several policies need a change for each."""
    layers: list[dict[str, tuple[Policy, list[FieldEdit]]]] = []
    for name, now in target.fields.items():
        before = base.fields.get(name) if base else None
        for n, (policy, edits) in enumerate(_field_edits(before, now)):
            if n == len(layers):
                layers.append({})
            layers[n][name] = (policy, edits)
    yield from layers


def _field_edits(before: Field | None, now: Field) -> Iterator[tuple[Policy, list[FieldEdit]]]:
    known = {part.tag: part for part in parts_of(before)}
    for part in parts_of(now):
        former = known.get(part.tag)
        if former is None or canonical_tree(former) != canonical_tree(part):
            edits = list(_part_edits(former, part))
            if edits:
                yield part.tag, edits  # type: ignore[misc]  # a part's tag is its policy


def _part_edits(before: Part | None, now: Part) -> Iterator[FieldEdit]:
    if isinstance(now, Register):
        # Of one stamp they are one write, which a whole state has only named anew.
        if not isinstance(before, Register) or before.key.stamp != now.key.stamp:
            yield Set(now.value)
    elif isinstance(now, Counter):
        counts = before.counts if isinstance(before, Counter) else {}
        plus, minus = (sum(pair[side] for pair in now.counts.values()) for side in (0, 1))
        plus -= sum(pair[0] for pair in counts.values())
        minus -= sum(pair[1] for pair in counts.values())
        yield from (Increment(plus), Increment(-minus))
    elif isinstance(now, Dotted):
        live = before.live if isinstance(before, Dotted) else {}
        yield from _set_edits(live, now) if now.tag == "set" else _multi_edits(live, now)
    else:
        yield from _text_edits(before.content if isinstance(before, Text) else "", now.content)


def _text_edits(before: str, now: str) -> Iterator[FieldEdit]:
    """What was typed and erased, from the end on. What stayed is not written again: others may erase it.

    A text that differs everywhere is compared as any other that is replaced, which takes less time.
    """
    if not before or len(before) * len(now) > _MOST_COMPARED:
        yield ReplaceText(now)
        return
    for kind, start, end, at, until in reversed(SequenceMatcher(None, before, now, False).get_opcodes()):
        if kind != "equal":
            yield SpliceText(start, end - start, now[at:until])


def _as_old(field: Field, before: Field | None, dot: Dot) -> Field:
    """A register under the stamp that it had: made anew later, it must not win over what came after it."""
    if isinstance(field, Register):
        for part in parts_of(before):
            if isinstance(part, Register):
                return replace(field, key=Key(*part.key.stamp, *dot))
    return field


def _multi_edits(live: Mapping[tuple[bytes, int, bytes], object], now: Dotted) -> Iterator[FieldEdit]:
    """The one value that this device wrote last, which stands in for all it saw."""
    written = max((write for write in now.live if write not in live), key=lambda one: one[1], default=None)
    if written is not None:
        yield Set(now.live[written])


def _set_edits(live: Mapping[tuple[bytes, int, bytes], object], now: Dotted) -> Iterator[FieldEdit]:
    present = {dump_value(value) for value in now.values()}
    former = {write[2]: value for write, value in live.items()}
    yield from (Remove(value) for spelled, value in former.items() if spelled not in present)  # type: ignore[arg-type]
    yield from (Add(value) for value in now.values() if dump_value(value) not in former)
