"""What must be left of edits: the cases that a person would work out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.expectations import Event, Expectations, Shown

A, B = b"a", b"b"


def event(device: bytes, counter: int, past: dict[bytes, int] | None = None, **done: Any) -> Event:
    """An edit whose writer had seen its own former ones, and `past`."""
    return Event("x", device, counter, {**(past or {}), device: counter - 1}, **done)


def problems(events: list[Event], **shown: Any) -> list[str]:
    """What is wrong with an object that shows this after these edits."""
    expected = Expectations()
    for one in events:
        expected.add(one)
    nothing: dict[str, Any] = {
        "alive": True, "recovered": False, "one": None, "titles": set(), "origin": None, "tags": set(),
        "seen": 0, "text": "",
    }  # fmt: skip
    return expected.wrong(events, Shown(**(nothing | shown)))


def test_titles_that_nobody_saw_stay_side_by_side() -> None:
    both = [event(A, 1, title="one"), event(B, 1, title="two")]
    assert not problems(both, titles={"one", "two"})
    assert problems(both, titles={"one"}) == ["titles lost: ['two']"]
    resolved = [*both, event(A, 2, {B: 1}, title="three")]
    assert not problems(resolved, titles={"three"})
    assert problems(resolved, titles={"two", "three"}) == ["titles that should not be: ['two']"]


def test_an_addition_stays_unless_a_removal_saw_it() -> None:
    added = event(A, 1, added=frozenset({"t"}))
    assert not problems([added, event(B, 1, removed=frozenset({"t"}))], tags={"t"})
    assert not problems([added, event(B, 1, {A: 1}, removed=frozenset({"t"}))])
    assert problems([added]) == ["tags lost: ['t']"]


def test_counts_add_up() -> None:
    counts = [event(A, 1, increment=2), event(B, 1, increment=-1)]
    assert not problems(counts, seen=1)
    assert problems(counts, seen=2) == ["the counter is 2, not 1 to 1"]


def test_characters_are_there_in_order_unless_erased() -> None:
    typed = [event(A, 1, typed="abc"), event(B, 1, {A: 1}, erased=frozenset("b"), typed="x")]
    assert not problems(typed, text="axc")
    assert "characters lost: ['x']" in problems(typed, text="ac")
    assert "the text is out of order" in problems(typed, text="cxa")
    assert problems(typed, text="axxc") == ["a character stands twice in the text"]


def test_a_later_write_is_not_replaced_by_an_earlier_one() -> None:
    writes = [event(A, 1, one="early"), event(B, 1, {A: 1}, one="late")]
    assert not problems(writes, one="late")
    assert problems(writes, one="early")
    assert problems(writes)


CREATED, DELETED = event(A, 1, life="create"), event(A, 2, life="delete")


@pytest.mark.parametrize(
    ("events", "alive", "recovered"),
    [
        ([CREATED], True, False),
        ([CREATED, DELETED], False, False),
        ([CREATED, DELETED, event(B, 1, {A: 1}, one="x")], False, True),
        ([CREATED, DELETED, event(B, 1, {A: 2}, life="restore")], True, False),
    ],
)  # fmt: skip
def test_the_longest_life_decides(events: list[Event], alive: bool, recovered: bool) -> None:
    one = next((each.one for each in events if each.one), None)
    assert not problems(events, alive=alive, recovered=recovered, one=one)
    assert problems(events, alive=not alive, recovered=recovered, one=one)


def test_what_nobody_can_know_may_be_or_not() -> None:
    sure, maybe = event(A, 1, title="sure", increment=1), event(B, 1, title="maybe", increment=2)
    maybe.counts = None
    for titles, seen in (({"sure"}, 1), ({"sure", "maybe"}, 3)):
        assert not problems([sure, maybe], titles=titles, seen=seen)
    assert problems([sure, maybe], titles={"maybe"}, seen=4)
    maybe.counts = False
    assert problems([sure, maybe], titles={"sure", "maybe"}, seen=1)
