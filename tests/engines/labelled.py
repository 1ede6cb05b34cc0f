"""Sentences as people write them into a journal, by topic; and which of them are nearest to each other."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from echolia.core.windows import nearness

FILE = Path(__file__).parent / "labelled.txt"


class Sentence(NamedTuple):
    """A sentence and what it is about."""

    topic: str
    text: str


def sentences() -> list[Sentence]:
    """All of them."""
    found, topic = [], ""
    for line in FILE.read_text("utf-8").splitlines():
        if line.startswith("# "):
            topic = line[2:]
        elif line:
            found.append(Sentence(topic, line))
    return found


def neighbours(vectors: Sequence[array[float]], count: int) -> list[list[int]]:
    """Of each vector the numbers of those nearest to it, the nearest first."""
    found = []
    for number, vector in enumerate(vectors):
        scores = [(nearness(vector, other), -at) for at, other in enumerate(vectors) if at != number]
        found.append([-at for _, at in sorted(scores, reverse=True)[:count]])
    return found


def recall(found: Sequence[Sequence[int]], wanted: Sequence[Sequence[int]]) -> float:
    """Which part of the wanted neighbours was found."""
    pairs = list(zip(found, wanted, strict=True))
    return sum(len({*one} & {*other}) for one, other in pairs) / sum(len(other) for _, other in pairs)
