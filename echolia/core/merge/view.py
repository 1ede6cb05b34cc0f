"""What an object shows a person: plain values, and which of them wait for a decision."""

from __future__ import annotations

from typing import TypedDict

from echolia.core.collections import Collection
from echolia.core.merge.fields import Field, Mixed, Part, parts_of
from echolia.core.merge.object import ObjectState
from echolia.core.merge.plaintext import Value, dump_value
from echolia.core.merge.registers import Counter, Dotted, Register


class View(TypedDict):
    """An object for people; in `fields` a set is a list, and a conflict is the list of its values."""

    collection: str
    alive: bool
    recovered: bool
    conflicts: list[str]
    fields: dict[str, Value]


def view(state: ObjectState, collection: Collection | None = None) -> View:
    """What to show; the same on every device that holds the same changes.

    A field that was written under two policies shows the one that `collection` declares, or else the first by
    name, and is listed as a conflict unless all its parts show one and the same value. Values are shared with
    the state: copy before changing one.
    """
    conflicts: list[str] = []
    fields: dict[str, Value] = {}
    for name in sorted(state.fields):
        field = state.fields[name]
        values = values_of(shown_part(field, collection.fields.get(name) if collection else None))
        fields[name] = values if len(values) > 1 else values[0]
        if len(values) > 1 or _parts_differ(field):
            conflicts.append(name)
    return View(
        collection=state.collection,
        alive=state.alive,
        recovered=state.recovered,
        conflicts=conflicts,
        fields=fields,
    )


def shown_part(field: Field, policy: str | None) -> Part:
    """The part of a field that is shown where `policy` is declared (None: nothing is)."""
    parts = parts_of(field)
    return next((part for part in parts if part.tag == policy), parts[0])


def _parts_differ(field: Field) -> bool:
    return isinstance(field, Mixed) and len({dump_value(values_of(part)) for part in field.parts}) > 1


def values_of(part: Part) -> list[Value]:
    """What the part shows: one value, or the several of a conflict."""
    if isinstance(part, Register):
        return [part.value]
    if isinstance(part, Counter):
        return [part.total()]
    if isinstance(part, Dotted):
        return [part.values()] if part.tag == "set" else part.values() or [None]
    return [part.content]
