"""Merged previews: everything that each side says, in one text, the same on every device."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echolia.core.merge import Value, merged_preview
from tests.core.merge.objects import moderate


@pytest.mark.parametrize(
    ("values", "preview"),
    [
        (["Laptop's", "Phone's"], "Laptop's / Phone's"),
        (["a", "b", "c", "a"], "a / b / c"),
        (["", "b"], "b"),
        (["", ""], ""),
        (["milk\neggs\n", "milk\nbread\n"], "milk\neggs\nbread\n"),
        (["milk\neggs", "milk\neggs\nbread"], "milk\neggs\nbread"),
        (["one line", "two\nlines"], "one line\ntwo\nlines"),
        (["a\nx\nb\ny\nc", "a\nb\nz\nc"], "a\nx\nb\ny\nz\nc"),
        (["a\nb", "b\na"], "a\nb\na"),
        (["1\n2", "2\n3", "3\n4"], "1\n2\n3\n4"),
        (["a\r\nb", "a\r\nc"], "a\r\nb\nc"),
        ([], None),
        (["a", None], None),
        ([1, 2], None),
        ([["a"], "a"], None),
        ([b"a", "a"], None),
    ],
)
def test_previews(values: Sequence[Value], preview: str | None) -> None:
    assert merged_preview(values) == preview


_lines = st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=9).map("\n".join)


def _is_inside(line_of_one: list[str], lines: list[str]) -> bool:
    """Whether the lines are all there, in their order, with whatever else between them."""
    rest = iter(lines)
    return all(line in rest for line in line_of_one)


@moderate
@given(st.lists(_lines, min_size=1, max_size=3))
def test_every_line_of_every_side_is_there_in_its_order(sides: list[str]) -> None:
    preview = merged_preview(["first\nof all", *sides])
    assert preview is not None
    for side in sides:
        if side:
            assert _is_inside(side.split("\n"), preview.split("\n"))


@moderate
@given(_lines, _lines)
def test_lines_that_both_have_are_there_once(one: str, other: str) -> None:
    preview = merged_preview([f"{one}\n", f"{other}\n"])
    assert preview is not None
    ours, theirs, both = (text.split("\n") for text in (f"{one}\n", f"{other}\n", preview))
    assert max(len(ours), len(theirs)) <= len(both) <= len(ours) + len(theirs) - 1
    assert merged_preview([preview, f"{one}\n"]) == preview


def test_texts_too_long_to_compare_line_by_line_keep_what_they_share_at_the_ends() -> None:
    one = ["start", *(f"one {n}" for n in range(600)), "middle", *(f"more {n}" for n in range(600)), "end"]
    other = ["start", *(f"other {n}" for n in range(600)), "middle", "end"]
    preview = merged_preview(["\n".join(one), "\n".join(other)])
    assert preview == "\n".join([*one[:-1], *other[1:-1], "end"])
