"""An object that is too large for one sealed body, written as several changes of some of its fields each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from echolia.client.editing import Make
from echolia.client.rebasing import reasserted
from echolia.core import merge
from echolia.core.clock import Stamp
from echolia.core.dots import Dot
from echolia.core.errors import EcholiaError
from echolia.core.merge import ObjectState
from echolia.core.merge.fields import Field
from echolia.core.merge.text import Text
from echolia.e2ee.sealing import MAX_PLAINTEXT_BYTES

# A field's name, its policy and codec, and what CBOR needs to say how long each is.
_TREE_BYTES: Final = 64


def check_size(state: ObjectState) -> None:
    """Return if the state fits one body; raises `body_too_large`."""
    if len(merge.encode(state)) > MAX_PLAINTEXT_BYTES:
        raise _too_large()


def makes(former: ObjectState) -> list[Make]:
    """What joins the whole state to an object, part by part; raises `body_too_large` if it cannot be cut."""
    return [_joins(part) for part in _parts(former)]


def _parts(former: ObjectState) -> Iterator[ObjectState]:
    """The state in as few parts as fit, taking the fields in order; a text that fits in none is cut."""
    empty = replace(former, fields={})
    part = empty
    for name, field in sorted(former.fields.items()):
        fuller = replace(part, fields={**part.fields, name: field})
        if _fits(fuller):
            part = fuller
            continue
        if part.fields:
            yield part
        *cut, part = [replace(empty, fields={name: piece}) for piece in _cut(empty, name, field)]
        yield from cut
    yield part


def _cut(empty: ObjectState, name: str, field: Field) -> list[Field]:
    """The field, whole if it fits a part of its own."""
    if _fits(replace(empty, fields={name: field})):
        return [field]
    if not isinstance(field, Text):
        raise _too_large()
    room = MAX_PLAINTEXT_BYTES - len(_written(empty)) - _TREE_BYTES
    return list(field.pieces(room))


def _fits(part: ObjectState) -> bool:
    return len(_written(part)) <= MAX_PLAINTEXT_BYTES


def _written(part: ObjectState) -> bytes:
    """What is sealed of it: under one dot more."""
    return merge.encode(reasserted(None, part, Dot(bytes(16), 2**53 - 1)))


def _too_large() -> EcholiaError:
    return EcholiaError("body_too_large", f"an object's change holds at most {MAX_PLAINTEXT_BYTES} bytes")


def _joins(part: ObjectState) -> Make:
    def make(current: ObjectState | None, dot: Dot, _stamp: Stamp) -> ObjectState | None:
        if current is not None and merge.dominates(current, part):
            return None
        life = part.life if current is None else merge.join(current, part).life
        return reasserted(None, replace(part, life=life), dot)

    return make
