"""Losers: each value that lost to a write which had not seen it is met once, the same on every device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from echolia.core.collections import declare
from echolia.core.dots import Dot, Vector, join_vectors
from echolia.core.merge import ObjectState, Set, join, losers
from echolia.core.merge.registers import Register
from tests.core.merge.objects import A, B, C, Device, moderate

Logged = tuple[ObjectState, Vector]


def lost(log: Sequence[Logged]) -> list[object]:
    """The values that a device which takes this log in order meets as losers."""
    held, found = log[0][0], list[object]()
    for state, seen in log[1:]:
        found += [loser.lost.value for loser in losers(held, state, seen)]
        held = join(held, state)
    return found


def test_of_two_concurrent_values_the_one_not_shown_is_lost_in_either_order() -> None:
    a, b = Device(A), Device(B)
    one, other = (a.write(1000, color=Set("red")), {A: 1}), (b.write(2000, color=Set("blue")), {B: 1})
    assert lost([one, other]) == lost([other, one]) == ["red"]


def test_a_value_that_its_writer_saw_replaced_is_not_lost() -> None:
    a, b = Device(A), Device(B)
    b.see(first := a.write(color=Set("red")))
    assert lost([(first, {A: 1}), (b.write(color=Set("blue")), {A: 1, B: 1})]) == []
    own = a.write(color=Set("green"))
    assert lost([(first, {A: 1}), (own, {A: 2})]) == []


def test_the_same_value_twice_loses_nothing_and_values_compare_by_bytes() -> None:
    a, b = Device(A), Device(B)
    red, again = (a.write(1000, color=Set("red")), {A: 1}), (b.write(2000, color=Set("red")), {B: 1})
    assert lost([red, again]) == []
    one, true = (
        (Device(A).write(1000, color=Set(1)), {A: 1}),
        (Device(B).write(2000, color=Set(True)), {B: 1}),
    )
    assert lost([one, true]) == [1]


def test_what_is_held_already_is_not_lost_again_when_it_comes_in_a_whole_state() -> None:
    a, b = Device(A), Device(B)
    red, blue = a.write(1000, color=Set("red")), b.write(2000, color=Set("blue"))
    held = join(red, blue)
    assert list(losers(held, red, {A: 1, C: 1})) == []
    [loser] = losers(blue, red, {A: 1})
    assert (loser.field, loser.lost.value, loser.winner.value) == ("color", "red", "blue")


def test_a_field_of_two_policies_loses_its_register_like_any_other() -> None:
    old, new = declare("notes", title="lww"), declare("notes", title="multi")
    a, b, c = Device(A, old), Device(B, new), Device(C, old)
    held = join(a.write(1000, title=Set("old")), b.write(title=Set("new")))
    assert [found.lost.value for found in losers(held, c.write(2000, title=Set("later")), {C: 1})] == ["old"]


@dataclass
class Writer:
    """A device that takes the log up to a point and then writes; what it writes is logged later."""

    device: Device
    at: int = 0
    seen: Vector = field(default_factory=dict)

    def take(self, log: Sequence[Logged], upto: int) -> None:
        """See the log up to a position."""
        for state, _ in log[self.at : upto]:
            self.device.see(state)
            self.seen = join_vectors(self.seen, state.dots)
        self.at = max(self.at, upto)

    def write(self, wall_ms: int, value: str) -> Logged:
        """One change, with what its writer had seen."""
        change = self.device.write(wall_ms, color=Set(value))
        self.seen = join_vectors(self.seen, change.dots)
        return change, dict(self.seen)


def keys(log: Sequence[Logged]) -> Iterator[tuple[Register, Vector]]:
    """Each write of a log, with what its writer had seen."""
    for state, seen in log:
        register = state.fields["color"]
        assert isinstance(register, Register)
        yield register, seen


@moderate
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 5)), min_size=1, max_size=10))
def test_every_value_is_shown_or_was_seen_by_a_later_writer_or_is_lost(
    steps: list[tuple[int, int, int]],
) -> None:
    """Nobody's value goes without a trace: whatever is neither shown nor overwritten knowingly is a loser."""
    writers, log = [Writer(Device(device)) for device in (A, B, C)], list[Logged]()
    for number, (who, behind, wall_ms) in enumerate(steps):
        writers[who].take(log, max(0, len(log) - behind))
        log.append(writers[who].write(wall_ms, f"value {number}"))
    found = lost(log)
    assert len(found) == len(set(found))
    writes = list(keys(log))
    shown = max(register.key for register, _ in writes)
    for register, _ in writes:
        dot = Dot(register.key.device, register.key.counter)
        overwritten = any(
            seen.get(dot.device, 0) >= dot.counter for other, seen in writes if other.key != register.key
        )
        assert register.key == shown or overwritten or register.value in found
