"""Plain values as edits: what a person means by giving a field a value, by the field's policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from echolia.core import canonical
from echolia.core.collections import Collection, Policy
from echolia.core.errors import EcholiaError
from echolia.core.merge import (
    Add,
    FieldEdit,
    FieldEdits,
    Increment,
    ObjectState,
    Remove,
    ReplaceText,
    Set,
    SpliceText,
    Value,
    view,
)

# A plain value means: give the field this value (a set: exactly these members; a text: this content).
Edit: TypeAlias = "Value | FieldEdit | Sequence[FieldEdit] | Iterable[Value]"
_EDITS = (Add, Increment, Remove, ReplaceText, Set, SpliceText)


def edits(
    collection: Collection, state: ObjectState | None, fields: Mapping[str, Edit]
) -> dict[str, FieldEdits]:
    """The edits that bring about these fields; raises `field_unknown`, `field_policy` or `value_invalid`."""
    shown = view(state, collection)["fields"] if state else {}
    return {
        name: _edit(collection.policy(name), shown.get(name), value, created=state is None)
        for name, value in fields.items()
    }


def differing(collection: Collection, state: ObjectState, fields: Mapping[str, Edit]) -> dict[str, Edit]:
    """The fields that would change the object."""
    shown = view(state, collection)
    return {
        name: value
        for name, value in fields.items()
        if name in shown["conflicts"]
        or name not in shown["fields"]
        or not _equal(collection.policy(name), shown["fields"][name], value)
    }


def same_value(state: ObjectState, fields: Mapping[str, Edit], name: str) -> bool:
    """Whether the field shows the value given for it."""
    shown = view(state)["fields"]
    return name in shown and name in fields and _spelled(shown[name]) == _spelled(fields[name])


def _edit(policy: Policy, shown: Value, value: Edit, *, created: bool) -> FieldEdits:
    given = _given(value)
    if given is not None:
        return given
    match policy:
        case "lww" | "multi":
            return Set(value)  # type: ignore[arg-type]  # `write` refuses what is no value
        case "text" if isinstance(value, str):
            return ReplaceText(value)
        case "set" if isinstance(value, list | tuple | set | frozenset):
            return _members(shown if isinstance(shown, list) else [], value)
        case "counter" if created and type(value) is int:
            return Increment(value)
    raise EcholiaError("field_policy", policy)


def _given(value: Edit) -> FieldEdits | None:
    if isinstance(value, _EDITS):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(edit, _EDITS) for edit in value):
        return list(value)
    return None


def _members(shown: Sequence[Value], wanted: Iterable[Value]) -> list[FieldEdit]:
    present = {_spelled(value): value for value in shown}
    target = {_spelled(value): value for value in wanted}
    gone = [Remove(value) for key, value in present.items() if key not in target]
    return [*gone, *(Add(target[key]) for key in sorted(target) if key not in present)]


def _equal(policy: Policy, shown: Value, value: Edit) -> bool:
    if _given(value) is not None:
        return False
    if policy == "set" and isinstance(value, list | tuple | set | frozenset) and isinstance(shown, list):
        return {_spelled(member) for member in shown} == {_spelled(member) for member in value}
    return _spelled(shown) == _spelled(value)


def _spelled(value: object) -> bytes:
    """Bytes that tell 1 from True and 1.0; what cannot be kept equals nothing."""
    try:
        return canonical.encode(value)
    except Exception:  # noqa: BLE001  # cbor2 raises many types for what it cannot encode
        raise EcholiaError("value_invalid") from None
