"""Losers: values of last-writer-wins registers that lost to a write which had not seen them.

A device that takes changes in log order asks this of each change before it joins it, and so meets every such
value once, the same ones on every device (spec/merge.md#losers). What is lost this way may be precious.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from echolia.core.dots import holds
from echolia.core.merge.fields import Field, parts_of
from echolia.core.merge.object import ObjectState
from echolia.core.merge.registers import Register


class Loser(NamedTuple):
    """A write of `field` that is not shown although whoever wrote `winner` never saw it."""

    field: str
    lost: Register
    winner: Register


def losers(held: ObjectState, arriving: ObjectState, seen: Mapping[bytes, int]) -> Iterator[Loser]:
    """What is lost when `arriving` is joined to `held`; both are clamped.

    `seen`: what the writer of `arriving` had seen, its own change included.
    """
    for name, field in arriving.fields.items():
        ours, theirs = _register(held.fields.get(name)), _register(field)
        if ours is None or theirs is None or holds(held.dots, theirs.key.device, theirs.key.counter):
            continue
        lost, winner = (ours, theirs) if theirs.key > ours.key else (theirs, ours)
        overwritten = lost is ours and holds(seen, ours.key.device, ours.key.counter)
        if not overwritten and lost.encoded() != winner.encoded():
            yield Loser(name, lost, winner)


def _register(field: Field | None) -> Register | None:
    return next((part for part in parts_of(field) if isinstance(part, Register)), None)
