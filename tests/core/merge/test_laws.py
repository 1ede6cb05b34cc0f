"""Joining is a semilattice: order, grouping and repetition of changes never show."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from echolia.core.dots import Dot
from echolia.core.merge import (
    Add,
    Increment,
    ObjectState,
    Remove,
    ReplaceText,
    Set,
    SpliceText,
    canonical_view,
    clamp,
    decode,
    delete,
    dominates,
    encode,
    join,
    restore,
    view,
)
from tests.core.merge.objects import A, B, C, Device, joined, moderate, states


@moderate
@given(states(), states())
def test_join_is_commutative(one: ObjectState, other: ObjectState) -> None:
    assert canonical_view(join(one, other)) == canonical_view(join(other, one))


@moderate
@given(states(), states(), states())
def test_join_is_associative(one: ObjectState, other: ObjectState, third: ObjectState) -> None:
    left = join(join(one, other), third)
    right = join(one, join(other, third))
    assert canonical_view(left) == canonical_view(right)
    assert view(left) == view(right)


@moderate
@given(states())
def test_join_is_idempotent(state: ObjectState) -> None:
    assert canonical_view(join(state, state)) == canonical_view(state)


@moderate
@given(states(), states())
def test_a_join_dominates_both_and_survives_its_plaintext(one: ObjectState, other: ObjectState) -> None:
    both = decode(encode(join(one, other)))
    assert dominates(both, one)
    assert dominates(both, other)
    assert canonical_view(both) == canonical_view(join(one, other))


@moderate
@given(states(), st.integers(0, 3))
def test_clamping_twice_is_clamping_once(state: ObjectState, received_ms: int) -> None:
    def received(_: Dot) -> int:
        return received_ms

    once = clamp(state, received)
    assert canonical_view(clamp(once, received)) == canonical_view(once)


def _act(device: Device, action: int, wall_ms: int) -> ObjectState:
    if device.shown is not None and not device.state.alive:
        change = restore(device.state, device.next_dot())
    elif action == 6 and device.shown is not None:
        change = delete(device.state, device.next_dot())
    else:
        edits = (
            {"title": Set(f"title {action} {wall_ms}")},
            {"color": Set(wall_ms), "reads": Increment(action - 2)},
            {"labels": [Add("x"), Add("y")]},
            {"labels": Remove("x")},
            {"body": ReplaceText(f"words {wall_ms} and more words")},
            {"body": SpliceText(0, 0, f"{action}"), "reads": Increment()},
            {"title": Set("same"), "labels": Add("x")},
        )
        return device.write(wall_ms, **edits[action])
    device.see(change)
    return change


@moderate
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), st.integers(0, 3000)), min_size=2, max_size=8),
    st.randoms(use_true_random=False),
)
def test_any_delivery_with_duplicates_ends_in_the_same_state(
    steps: list[tuple[int, int, int]], random: Random
) -> None:
    """Devices write, see random parts of what others wrote, and then get everything shuffled and repeated."""
    devices = [Device(A), Device(B), Device(C)]
    changes: list[ObjectState] = []
    for number, action, wall_ms in steps:
        devices[number].see(*random.sample(changes, random.randint(0, len(changes))))
        changes.append(_act(devices[number], action, wall_ms))
    everything = joined(*changes)
    shuffled = random.sample([*changes, *changes], 2 * len(changes))
    assert canonical_view(joined(*shuffled)) == canonical_view(everything)
    assert view(joined(*shuffled)) == view(everything)
    for device in devices:
        device.see(*shuffled)
        assert canonical_view(device.state) == canonical_view(everything)
