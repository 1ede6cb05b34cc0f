"""Writing: a person's edits become the partial state that one change carries.

`write` returns the delta to seal; `delete` and `restore` return the whole object, so that one change can
stand for all before it. None of them changes what it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from echolia.core.clock import Key, Stamp, tick
from echolia.core.collections import Collection, Policy
from echolia.core.dots import Dot, with_dot
from echolia.core.errors import EcholiaError
from echolia.core.merge.fields import Field, Mixed, Part, parts_of
from echolia.core.merge.life import BORN, deleted, restored
from echolia.core.merge.object import ObjectState
from echolia.core.merge.plaintext import Value, dump_value
from echolia.core.merge.registers import MAX_COUNT, Counter, Dotted, Register, Write
from echolia.core.merge.text import Draft, Text, seed_peer

_OF_ONE_VALUE: Final[tuple[Policy, ...]] = ("lww", "multi")


@dataclass(frozen=True, slots=True)
class Set:
    """Give an `lww` or `multi` field this value; of a `multi` field it replaces every value shown."""

    value: Value


@dataclass(frozen=True, slots=True)
class Add:
    """Add a value to a `set` field."""

    value: Value


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a value from a `set` field; of a value that is not there, nothing comes."""

    value: Value


@dataclass(frozen=True, slots=True)
class Increment:
    """Add to a `counter` field; `amount` may be negative."""

    amount: int = 1


@dataclass(frozen=True, slots=True)
class ReplaceText:
    """Make a `text` field read `content`, by the differences only."""

    content: str


@dataclass(frozen=True, slots=True)
class SpliceText:
    """In a `text` field, delete and then insert at a position; both count Unicode code points."""

    position: int
    delete: int
    insert: str


FieldEdit: TypeAlias = Set | Add | Remove | Increment | ReplaceText | SpliceText
FieldEdits: TypeAlias = FieldEdit | Sequence[FieldEdit]


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes a change and when: its dot, its clock's stamp, and the device's Loro peer id."""

    dot: Dot
    stamp: Stamp
    peer: int


def write(
    collection: Collection,
    current: ObjectState | None,
    changes: Mapping[str, FieldEdits],
    dot: Dot,
    stamp: Stamp,
    peer: int,
) -> ObjectState:
    """The delta that makes these edits, or creates the object if `current` is None (then it is whole).

    `current` is all the device shows of the object, its own unsent changes included; `dot` is new. `changes`
    gives each field one edit or several in order. Raises `field_unknown`, `field_policy`, `value_invalid`,
    and `object_in_trash` for a deleted object. A text edit that changes nothing leaves its field out.
    """
    if current is not None and not current.alive:
        raise EcholiaError("object_in_trash")
    author = Author(dot, stamp, peer)
    fields: dict[str, Field] = {}
    for name, given in changes.items():
        edits = given if isinstance(given, Sequence) else (given,)
        for edit in edits:
            if isinstance(edit, Set | Add):
                collection.check(name, edit.value)
        field = current.fields.get(name) if current else None
        parts = _edit_parts(collection.policy(name), parts_of(field), edits, author)
        if parts:
            fields[name] = parts[0] if len(parts) == 1 else Mixed(parts)
    life = BORN if current is None else None
    return ObjectState(collection.name, {dot.device: dot.counter}, life, fields)


def delete(current: ObjectState, dot: Dot) -> ObjectState:
    """The whole object in the Trash; of one that lies there recovered, the confirmation that it shall."""
    dots = with_dot(current.dots, dot)
    return ObjectState(current.collection, dots, deleted(current.life, dots), current.fields)


def restore(current: ObjectState, dot: Dot) -> ObjectState:
    """The whole object out of the Trash; one that is not in there stays as it is."""
    dots = with_dot(current.dots, dot)
    return ObjectState(current.collection, dots, restored(current.life), current.fields)


def whole(current: ObjectState, dot: Dot) -> ObjectState:
    """The whole object again, by one who has seen all of it."""
    return ObjectState(current.collection, with_dot(current.dots, dot), current.life, current.fields)


def _edit_parts(
    policy: Policy, present: Sequence[Part], edits: Sequence[FieldEdit], author: Author
) -> tuple[Part, ...]:
    """The part that is declared; and if the field was declared to hold one value by the other policy that
    does, that part alike: it is what settles a field of both (spec/merge.md#fields).
    """
    held = {part.tag: part for part in present}
    policies = [policy, *(other for other in _OF_ONE_VALUE if other in held and policy in _OF_ONE_VALUE)]
    parts = (_edit_field(one, held.get(one), edits, author) for one in sorted(set(policies)))
    return tuple(part for part in parts if part is not None)


def _edit_field(policy: Policy, part: Part | None, edits: Sequence[FieldEdit], author: Author) -> Part | None:
    if not edits:
        return None
    match policy:
        case "lww":
            return _edit_register(part if isinstance(part, Register) else None, edits, author)
        case "counter":
            return _edit_counter(part if isinstance(part, Counter) else None, edits, author.dot)
        case "text":
            return _edit_text(part if isinstance(part, Text) else None, edits, author.peer)
        case "multi":
            return _edit_multi(part if isinstance(part, Dotted) else None, edits, author.dot)
        case "set":
            return _edit_set(part if isinstance(part, Dotted) else None, edits, author.dot)


def _edit_register(register: Register | None, edits: Sequence[FieldEdit], author: Author) -> Register | None:
    stamp = author.stamp
    if register is not None and register.key.stamp >= stamp:
        stamp = tick(register.key.stamp, stamp.wall_ms)  # never lose to what the writer replaces
    written: Register | None = None
    for edit in edits:
        if not isinstance(edit, Set):
            raise _wrong("lww")
        dump_value(edit.value)
        written = Register(Key(*stamp, *author.dot), edit.value)
    return written


def _edit_multi(field: Dotted | None, edits: Sequence[FieldEdit], dot: Dot) -> Dotted:
    live: dict[Write, Value] = {}
    for edit in edits:
        if not isinstance(edit, Set):
            raise _wrong("multi")
        live = {(*dot, dump_value(edit.value)): edit.value}
    return Dotted("multi", with_dot(field.context if field else {}, dot), live)


def _edit_set(field: Dotted | None, edits: Sequence[FieldEdit], dot: Dot) -> Dotted:
    live: dict[Write, Value] = dict(field.live) if field else {}
    for edit in edits:
        if not isinstance(edit, Add | Remove):
            raise _wrong("set")
        encoded = dump_value(edit.value)
        live = {write: value for write, value in live.items() if write[2] != encoded}
        if isinstance(edit, Add):
            live[*dot, encoded] = edit.value  # a new dot, so that it outlives a concurrent removal
    return Dotted("set", with_dot(field.context if field else {}, dot), live)


def _edit_counter(counter: Counter | None, edits: Sequence[FieldEdit], dot: Dot) -> Counter | None:
    plus, minus = counter.counts.get(dot.device, (0, 0)) if counter else (0, 0)
    for edit in edits:
        if not isinstance(edit, Increment):
            raise _wrong("counter")
        if type(edit.amount) is not int:
            raise EcholiaError("value_invalid", "amount")
        plus, minus = plus + max(edit.amount, 0), minus - min(edit.amount, 0)
    if max(plus, minus) > MAX_COUNT:
        raise EcholiaError("value_invalid", "amount")
    return Counter({dot.device: (plus, minus)})


def _edit_text(text: Text | None, edits: Sequence[FieldEdit], peer: int) -> Text | None:
    match text, edits:
        case None, [ReplaceText(content)]:
            peer = seed_peer(content)
    draft = Draft(text, peer)
    for edit in edits:
        match edit:
            case ReplaceText(content):
                draft.replace(content)
            case SpliceText(position, gone, insert):
                draft.splice(position, gone, insert)
            case _:
                raise _wrong("text")
    return draft.delta()


def _wrong(policy: str) -> EcholiaError:
    return EcholiaError("field_policy", policy)
