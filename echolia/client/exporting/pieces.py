"""An object that is too large for one sealed body, written as several changes of some of its fields each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from echolia.client.editing import Make
from echolia.client.rebasing import reasserted
from echolia.core import merge
from echolia.core.clock import Stamp
from echolia.core.dots import Dot
from echolia.core.errors import EcholiaError
from echolia.core.merge import ObjectState
from echolia.e2ee.sealing import MAX_PLAINTEXT_BYTES


def check_size(state: ObjectState) -> None:
    """Return if the state fits one body; raises `body_too_large`."""
    if len(merge.encode(state)) > MAX_PLAINTEXT_BYTES:
        raise EcholiaError("body_too_large", f"an object's change holds at most {MAX_PLAINTEXT_BYTES} bytes")


def makes(former: ObjectState) -> list[Make]:
    """What joins the whole state to an object, some fields at a time; raises `body_too_large` for a field."""
    return [_joins(part) for part in _parts(former)]


def _parts(former: ObjectState) -> Iterator[ObjectState]:
    """The state in as few parts as fit, taking the fields in order."""
    part = replace(former, fields={})
    for name, field in sorted(former.fields.items()):
        fuller = replace(part, fields={**part.fields, name: field})
        try:
            _check_with_dot(fuller)
        except EcholiaError:
            if part.fields:
                yield part
            fuller = replace(part, fields={name: field})
            _check_with_dot(fuller)
        part = fuller
    yield part


def _check_with_dot(part: ObjectState) -> None:
    """Check the size it has once it is written, under one more dot."""
    check_size(reasserted(None, part, Dot(bytes(16), 2**53 - 1)))


def _joins(part: ObjectState) -> Make:
    def make(current: ObjectState | None, dot: Dot, _stamp: Stamp) -> ObjectState | None:
        if current is not None and merge.dominates(current, part):
            return None
        life = part.life if current is None else merge.join(current, part).life
        return reasserted(None, replace(part, life=life), dot)

    return make
