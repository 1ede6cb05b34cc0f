"""Long texts in windows that overlap, and one vector of all of them (`spec/embeddings.md#long-texts`)."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import fsum, sqrt
from typing import Final, NamedTuple

MOST_WINDOWS: Final = 512


class Window(NamedTuple):
    """The tokens from `start` up to `stop`; `weight` of them are in no window before."""

    start: int
    stop: int
    weight: int


def windows(count: int, room: int, overlap: int) -> list[Window]:
    """The windows of a text of `count` tokens, none of them longer than `room`; the last ends with it."""
    if count <= room:
        return [Window(0, count, count)]
    found, step = [Window(0, room, room)], room - overlap
    while found[-1].stop < count:
        start, before = found[-1].start + step, found[-1].stop
        stop = min(start + room, count)
        found.append(Window(start, stop, stop - before))
    return found


def pooled(vectors: Sequence[array[float]], weights: Sequence[int]) -> array[float]:
    """The vector of the text that these windows' vectors are of, in their order."""
    if len(vectors) == 1:
        return vectors[0]
    weighted = zip(*vectors, strict=True)
    sums = [fsum(part * weight for part, weight in zip(each, weights, strict=True)) for each in weighted]
    length = sqrt(fsum(part * part for part in sums))
    return array("f", [part / length for part in sums] if length else sums)


def nearness(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine of two vectors of length 1: 1 for the same, about 0 for what has nothing in common."""
    return sum(map(float.__mul__, one, other))
