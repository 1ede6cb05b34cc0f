"""Which entries are near to a question: an exact scan over all vectors, and words and meaning in one list."""

from __future__ import annotations

import heapq
import struct
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import mul
from typing import Final, Literal

from echolia.client.reports import Found, Record

# What has less in common with a question than this answers nothing.
LEAST_NEAR: Final = 0.15
# Reciprocal rank fusion: how much a place in a list counts (Cormack, Clarke and Buettcher, 2009).
_RANK: Final = 60
_SNIPPET_CHARACTERS: Final = 160


@dataclass(frozen=True, slots=True)
class Near:
    """An entry that was found: how near its vector is to the question's (None: by its words alone).

    `snippet` and `matches` are as in a `Found`; without a word that matches, the entry's beginning.
    """

    record: Record
    nearness: float | None
    snippet: str = field(repr=False)
    matches: tuple[tuple[int, int], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Search:
    """What was found, best first; `by` is how. `lacking` entries have no vector yet: words find them."""

    found: list[Near]
    by: Literal["meaning", "words"]
    lacking: int = 0


def nearest(
    query: array[float], vectors: Iterable[tuple[bytes, bytes]], limit: int
) -> list[tuple[float, bytes]]:
    """The nearest objects, each with its cosine; what is of another length or no number is passed over."""
    form = struct.Struct(f"<{len(query)}f")
    scored = ((sum(map(mul, query, form.unpack(raw))), of) for of, raw in vectors if len(raw) == form.size)
    return heapq.nlargest(limit, (each for each in scored if each[0] >= LEAST_NEAR))


def fused(lists: Sequence[Sequence[str]]) -> list[str]:
    """Several lists of ids as one: what stands high in many comes first."""
    scores: dict[str, float] = {}
    for ids in lists:
        for rank, id_ in enumerate(ids):
            scores[id_] = scores.get(id_, 0.0) + 1 / (_RANK + rank)
    return sorted(scores, key=lambda id_: (-scores[id_], id_))


def by_words(found: Found) -> Near:
    """What only its words found."""
    return Near(found.record, None, found.snippet, found.matches)


def begun(record: Record, nearness: float) -> Near:
    """What its vector found: it shows how it begins."""
    body = record.fields.get("body")
    line = next((line for line in str(body or "").splitlines() if line.strip()), "")
    return Near(record, nearness, line.strip()[:_SNIPPET_CHARACTERS])
