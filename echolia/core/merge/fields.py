"""Fields of any policy: read by tag, joined, and kept side by side where two sides disagree on the policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final, TypeAlias

from echolia.core.merge.plaintext import expect_list, invalid
from echolia.core.merge.registers import (
    Counter,
    Dotted,
    Register,
    read_counter,
    read_dotted,
    read_register,
)
from echolia.core.merge.text import Text, read_text

Part: TypeAlias = Register | Dotted | Counter | Text


@dataclass(frozen=True, slots=True, eq=False)
class Mixed:
    """What a field holds that was declared with different policies: one part for each, by ascending tag."""

    parts: tuple[Part, ...]

    tag: ClassVar = "mixed"

    def tree(self) -> list[object]:
        """The plaintext form."""
        return [self.tag, *(part.tree() for part in self.parts)]


Field: TypeAlias = Part | Mixed


def parts_of(field: Field | None) -> tuple[Part, ...]:
    """The parts of a field, by ascending tag; of most fields one."""
    if field is None:
        return ()
    return field.parts if isinstance(field, Mixed) else (field,)


def join_fields(one: Field, other: Field) -> Field:
    """Join part by part: a product of lattices is a lattice, and nothing is lost to a changed declaration."""
    if not isinstance(one, Mixed) and one.tag == other.tag:
        return _join_parts(one, other)
    parts = {part.tag: part for part in parts_of(one)}
    for part in parts_of(other):
        ours = parts.get(part.tag)
        parts[part.tag] = part if ours is None else _join_parts(ours, part)
    return Mixed(tuple(parts[tag] for tag in sorted(parts)))


def canonical_tree(field: Field) -> list[object]:
    """The plaintext form, but equal for equal states also where a text is inside."""
    if isinstance(field, Text):
        return field.canonical_tree()
    if isinstance(field, Mixed):
        return [field.tag, *(canonical_tree(part) for part in field.parts)]
    return field.tree()


def read_field(tree: object) -> Field:
    """Check a parsed field; raises `body_invalid`."""
    fields = expect_list(tree, None, "field")
    if not fields or fields[0] != Mixed.tag:
        return _read_part(fields)
    parts = tuple(_read_part(expect_list(part, None, "field")) for part in fields[1:])
    tags = [part.tag for part in parts]
    if len(parts) < 2 or tags != sorted(set(tags)):
        invalid("mixed field")
    return Mixed(parts)


def _read_part(tree: list[object]) -> Part:
    read = _READERS.get(tree[0]) if tree and isinstance(tree[0], str) else None
    return read(tree) if read else invalid("policy")


def _join_parts(one: Part, other: Field) -> Part:
    if isinstance(one, Register) and isinstance(other, Register):
        return one.join(other)
    if isinstance(one, Dotted) and isinstance(other, Dotted):
        return one.join(other)
    if isinstance(one, Counter) and isinstance(other, Counter):
        return one.join(other)
    if isinstance(one, Text) and isinstance(other, Text):
        return one.join(other)
    raise AssertionError("parts of one tag are of one kind")


_READERS: Final[Mapping[str, Callable[[list[object]], Part]]] = {
    "lww": read_register,
    "multi": partial(read_dotted, "multi"),
    "set": partial(read_dotted, "set"),
    "counter": read_counter,
    "text": read_text,
}
