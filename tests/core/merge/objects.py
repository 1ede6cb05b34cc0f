"""Devices that write objects, and arbitrary object states for the laws."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st

from echolia.core.clock import Key, Stamp
from echolia.core.collections import Collection, Policy, declare
from echolia.core.dots import Dot
from echolia.core.merge import FieldEdits, ObjectState, ReplaceText, SpliceText, Value, join, write
from echolia.core.merge.fields import Field, Mixed, Part
from echolia.core.merge.life import Life
from echolia.core.merge.plaintext import dump_value
from echolia.core.merge.registers import Counter, Dotted, Register, Write
from echolia.core.merge.text import Text

A, B, C = (bytes([letter]) * 16 for letter in b"ABC")
NOTES = declare("notes", title="multi", body="text", labels="set", color="lww", reads="counter")
moderate = settings(max_examples=30, deadline=None, derandomize=True, database=None)


class Device:
    """One device's view of one object: it writes, and it sees what others wrote."""

    def __init__(self, device: bytes, collection: Collection = NOTES) -> None:
        self.device = device
        self.collection = collection
        self.counter = 0
        self.shown: ObjectState | None = None

    def next_dot(self) -> Dot:
        self.counter += 1
        return Dot(self.device, self.counter)

    def write(self, wall_ms: int = 1000, /, **changes: FieldEdits) -> ObjectState:
        """Make the edits; the delta that other devices are to `see`."""
        peer = self.device[0]
        delta = write(self.collection, self.shown, changes, self.next_dot(), Stamp(wall_ms, 0), peer)
        self.see(delta)
        return delta

    def see(self, *changes: ObjectState) -> None:
        states = [self.shown, *changes] if self.shown else list(changes)
        self.shown = joined(*states) if states else None

    @property
    def state(self) -> ObjectState:
        assert self.shown is not None
        return self.shown


def joined(*states: ObjectState) -> ObjectState:
    """All of them, in the order given."""
    return reduce(join, states)


def values_of(state: ObjectState, field: str) -> Mapping[Write, Value]:
    """What is live in a `multi` or `set` field."""
    part = state.fields[field]
    assert isinstance(part, Dotted)
    return part.live


def text_history() -> list[Text]:
    """Texts of one document: updates that build on each other across three devices, and wholes of some."""
    a, b, c = Device(A), Device(B), Device(C)
    first = a.write(body=ReplaceText("one two three"))
    b.see(first)
    c.see(first)
    second = a.write(body=SpliceText(0, 3, "1"))
    third = b.write(body=SpliceText(4, 3, "two and a half"))
    c.see(third)
    fourth = c.write(body=[SpliceText(0, 1, "O"), SpliceText(8, 0, " 📊")])
    fifth = a.write(body=ReplaceText("1 2 3"))
    texts = [change.fields["body"] for change in (first, second, third, fourth, fifth)]
    texts += [a.state.fields["body"], c.state.fields["body"], joined(fourth, fifth).fields["body"]]
    return [text for text in texts if isinstance(text, Text)]


_devices = st.sampled_from([A, B, C])
_counters = st.integers(1, 4)
_vectors = st.dictionaries(_devices, _counters, max_size=3)
_values: st.SearchStrategy[Value] = st.sampled_from(
    [0, 1, True, 1.0, "", "a", b"a", None, [1, "x"], {"k": 0.5}]
)
_keys = st.builds(Key, st.integers(0, 2), st.integers(0, 1), _devices, _counters)


@st.composite
def _dotted(draw: st.DrawFn, tag: Literal["multi", "set"]) -> Dotted:
    context = draw(_vectors)
    writes = draw(st.lists(st.tuples(_devices, _counters, _values), max_size=4))
    live = {(d, n, dump_value(v)): v for d, n, v in writes if n <= context.get(d, 0)}
    return Dotted(tag, context, live)


_counts = st.tuples(st.integers(0, 3), st.integers(0, 3))
_lives = st.builds(Life, st.integers(1, 4), _vectors)
PARTS: Mapping[Policy, st.SearchStrategy[Part]] = {
    "lww": st.builds(Register, _keys, _values),
    "multi": _dotted("multi"),
    "set": _dotted("set"),
    "counter": st.builds(Counter, st.dictionaries(_devices, _counts)),
    "text": st.sampled_from(text_history()),
}


@st.composite
def _mixed(draw: st.DrawFn) -> Field:
    parts = {part.tag: part for part in draw(st.lists(st.one_of(*PARTS.values()), min_size=1, max_size=3))}
    ordered = tuple(parts[tag] for tag in sorted(parts))
    return ordered[0] if len(ordered) == 1 else Mixed(ordered)


def states() -> st.SearchStrategy[ObjectState]:
    """Any state that `decode` would accept, also those that no honest device writes."""
    return st.builds(
        ObjectState,
        st.sampled_from(["entries", "notes"]),
        _vectors,
        st.none() | _lives,
        st.dictionaries(st.sampled_from(["f", "g"]), _mixed(), max_size=2),
    )


def states_of(kind: str) -> st.SearchStrategy[ObjectState]:
    """States with one field of one policy and nothing else; or of kind "life", with nothing but a life."""
    if kind == "life":
        return st.builds(ObjectState, st.just("notes"), _vectors, _lives, st.just({}))
    fields = {name: part for name, part in PARTS.items() if name == kind}
    holding = st.fixed_dictionaries({"f": fields[kind] if kind in fields else _mixed()})
    return st.builds(ObjectState, st.just("notes"), st.just({}), st.none(), holding)
