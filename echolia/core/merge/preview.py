"""A merged preview: one text that keeps what each side of a conflict says, to look at and perhaps to take.

The same sides give the same preview on every device (spec/merge.md#merged-preview).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import takewhile
from typing import Final

from echolia.core.merge.plaintext import Value

_BETWEEN: Final = " / "
# Comparing each line with each takes time and memory by their product.
_MOST_COMPARISONS: Final = 250_000


def merged_preview(values: Sequence[Value]) -> str | None:
    """The texts in one, in the order given; None unless all are texts. Texts of one line: "One / Other"."""
    texts = list(dict.fromkeys(value for value in values if isinstance(value, str) and value))
    if not values or not all(isinstance(value, str) for value in values):
        return None
    if not any("\n" in text for text in texts):
        return _BETWEEN.join(texts)
    first, *others = [text.split("\n") for text in texts]
    lines: list[str] = reduce(_both, others, first)
    return "\n".join(lines)


def _both(one: list[str], other: list[str]) -> list[str]:
    """All lines of both in order, shared ones once; where they differ, those of `one` come first."""
    start = _shared(one, other)
    end = _shared(one[start:][::-1], other[start:][::-1])
    ours, theirs = one[start : len(one) - end], other[start : len(other) - end]
    return [*one[:start], *_woven(ours, theirs), *one[len(one) - end :]]


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _woven(one: list[str], other: list[str]) -> list[str]:
    if len(one) * len(other) > _MOST_COMPARISONS:
        return [*one, *other]
    common = _common(one, other)
    lines, i, j = list[str](), 0, 0
    while i < len(one) and j < len(other):
        if one[i] == other[j]:
            lines.append(one[i])
            i, j = i + 1, j + 1
        elif common[i + 1][j] >= common[i][j + 1]:
            lines.append(one[i])
            i += 1
        else:
            lines.append(other[j])
            j += 1
    return [*lines, *one[i:], *other[j:]]


def _common(one: list[str], other: list[str]) -> list[list[int]]:
    """For each pair of rests how many lines their longest common subsequence has."""
    rows = [[0] * (len(other) + 1)]
    for line in reversed(one):
        below, row = rows[-1], [0] * (len(other) + 1)
        for j in range(len(other) - 1, -1, -1):
            row[j] = below[j + 1] + 1 if line == other[j] else max(below[j], row[j + 1])
        rows.append(row)
    return rows[::-1]
