"""An object's state, whole or partial: read, written, joined and clamped (spec/merge.md).

Every change carries such a state, so applying changes is joining them: in any order, any number of times.
States compare by `canonical_view`, never by `==`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from echolia.core.clock import START, Key, Stamp
from echolia.core.clock import clamp as clamp_key
from echolia.core.dots import Dot, Vector, join_vectors
from echolia.core.merge import plaintext
from echolia.core.merge.fields import Field, Mixed, canonical_tree, join_fields, parts_of, read_field
from echolia.core.merge.life import Life, read_life
from echolia.core.merge.plaintext import expect_map, expect_name, expect_vector, invalid
from echolia.core.merge.registers import Register
from echolia.core.merge.text import Text

VERSION: Final = 1
_REQUIRED: Final = frozenset("vcof")
_KNOWN: Final = _REQUIRED | {"l"}

# When the server logged the run that carries a dot (ms since 1970); None for one's own change not logged yet.
Received: TypeAlias = Callable[[Dot], int | None]


@dataclass(frozen=True, slots=True, eq=False)
class ObjectState:
    """What some changes of one object add up to; `dots` names the edits that are inside."""

    collection: str
    dots: Vector
    life: Life | None
    fields: Mapping[str, Field]

    @property
    def alive(self) -> bool:
        """Whether the object is in its collection and not in the Trash; so until a deletion is known."""
        return self.life is None or self.life.alive

    @property
    def recovered(self) -> bool:
        """Whether it lies in the Trash with an edit that the deleter had not seen."""
        return self.life is not None and not self.life.alive and self.life.missed(self.dots)


def join(one: ObjectState, other: ObjectState) -> ObjectState:
    """What both states add up to; raises `body_invalid` if a text's operations contradict each other."""
    fields = dict(one.fields)
    for name, field in other.fields.items():
        ours = fields.get(name)
        fields[name] = field if ours is None else join_fields(ours, field)
    return ObjectState(
        min(one.collection, other.collection),
        join_vectors(one.dots, other.dots),
        one.life.join(other.life) if one.life and other.life else one.life or other.life,
        fields,
    )


def close(state: ObjectState) -> None:
    """Let go of what is kept open for the next join; the state stays what it is."""
    for field in state.fields.values():
        for part in parts_of(field):
            if isinstance(part, Text):
                part.close()


def clamp(state: ObjectState, received: Received) -> ObjectState:
    """The state with every last-writer-wins key as all devices read it (spec/merge.md#clamping)."""
    return _rekeyed(state, lambda key: clamp_key(key, received(Dot(key.device, key.counter))))


def renewed(state: ObjectState, stale: Callable[[Dot], bool], dot: Dot) -> ObjectState:
    """The state with `dot` in the last-writer-wins keys of `stale` writes, as old as they are.

    So a whole state names no receive time that only changes which it supersedes could tell.
    """
    return _rekeyed(
        state, lambda key: Key(*key.stamp, *dot) if stale(Dot(key.device, key.counter)) else key
    )  # fmt: skip


def _rekeyed(state: ObjectState, rekey: Callable[[Key], Key]) -> ObjectState:
    return replace(state, fields={name: _rekey_field(field, rekey) for name, field in state.fields.items()})


def _rekey_field(field: Field, rekey: Callable[[Key], Key]) -> Field:
    if isinstance(field, Register):
        key = rekey(field.key)
        return field if key is field.key else replace(field, key=key)
    if isinstance(field, Mixed):
        parts = (_rekey_field(part, rekey) for part in field.parts)
        return Mixed(tuple(part for part in parts if not isinstance(part, Mixed)))
    return field


def newest_stamp(state: ObjectState) -> Stamp:
    """The greatest stamp inside, for the device's clock to learn; give it clamped states only."""
    parts = (part for field in state.fields.values() for part in parts_of(field))
    return max((part.key.stamp for part in parts if isinstance(part, Register)), default=START)


def encode(state: ObjectState) -> bytes:
    """The state as a change's plaintext; canonical except for what is inside a text's blobs."""
    return plaintext.dump(_tree(state, {name: field.tree() for name, field in state.fields.items()}))


def canonical_view(state: ObjectState) -> bytes:
    """Bytes equal exactly when two states are: `encode`, with texts by their operations and content."""
    return plaintext.dump(_tree(state, {name: canonical_tree(field) for name, field in state.fields.items()}))


def dominates(one: ObjectState, other: ObjectState) -> bool:
    """Whether `one` holds all that `other` holds, so that joining them adds nothing."""
    return canonical_view(join(one, other)) == canonical_view(one)


def _tree(state: ObjectState, fields: Mapping[str, list[object]]) -> dict[str, object]:
    tree: dict[str, object] = {"v": VERSION, "c": state.collection, "o": state.dots, "f": fields}
    if state.life is not None:
        tree["l"] = state.life.tree()
    return tree


def decode(body: bytes) -> ObjectState:
    """Read a change's plaintext; raises `body_invalid` alone, for all that `encode` cannot write."""
    tree = expect_map(plaintext.load(body), "object")
    if not _REQUIRED <= tree.keys() <= _KNOWN or type(tree["v"]) is not int or tree["v"] != VERSION:
        invalid("version or keys")
    state = ObjectState(
        expect_name(tree["c"], "collection"),
        expect_vector(tree["o"]),
        read_life(tree["l"]) if "l" in tree else None,
        {expect_name(name, "field"): read_field(field) for name, field in expect_map(tree["f"], "f").items()},
    )
    if encode(state) != body:
        invalid("not deterministic")
    return state
