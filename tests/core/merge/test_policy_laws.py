"""Each policy by itself, and life by itself: a semilattice, and the same end whatever the delivery."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echolia.core.merge import (
    Add,
    FieldEdits,
    Increment,
    ObjectState,
    Remove,
    ReplaceText,
    Set,
    SpliceText,
    canonical_view,
    delete,
    dominates,
    join,
    restore,
    view,
)
from tests.core.merge.objects import A, B, C, Device, joined, states_of

KINDS = ("lww", "multi", "set", "counter", "text", "mixed", "life")
many = settings(max_examples=40, deadline=None, derandomize=True, database=None)
# What a device can do to the field of each policy; the number makes values differ or be the same.
EDITS: Mapping[str, tuple[str, tuple[type | object, ...]]] = {
    "lww": ("color", (Set("red"), Set("blue"), Set(None))),
    "multi": ("title", (Set("one"), Set("two"), Set(1), Set(True))),
    "set": ("labels", (Add("x"), Add("y"), Remove("x"), [Remove("y"), Add("z")])),
    "counter": ("reads", (Increment(1), Increment(-2), [Increment(3), Increment(-1)])),
    "text": ("body", (ReplaceText("a b c"), ReplaceText("c"), SpliceText(0, 0, "📊"))),
}


@pytest.mark.parametrize("kind", KINDS)
@many
@given(data=st.data())
def test_commutative_associative_idempotent(kind: str, data: st.DataObject) -> None:
    one, other, third = (data.draw(states_of(kind)) for _ in range(3))
    assert canonical_view(join(one, other)) == canonical_view(join(other, one))
    assert canonical_view(join(join(one, other), third)) == canonical_view(join(one, join(other, third)))
    assert canonical_view(join(one, one)) == canonical_view(one)
    both = join(one, other)
    assert dominates(both, one) and dominates(both, other)


@pytest.mark.parametrize("kind", KINDS)
@many
@given(data=st.data(), random=st.randoms(use_true_random=False))
def test_any_order_grouping_and_repetition_is_the_same_state(
    kind: str, data: st.DataObject, random: Random
) -> None:
    changes = data.draw(st.lists(states_of(kind), min_size=2, max_size=5))
    whole = joined(*changes)
    delivered = [*changes, *random.choices(changes, k=3)]
    random.shuffle(delivered)
    cut = random.randint(1, len(delivered) - 1)
    grouped = join(joined(*delivered[:cut]), joined(*delivered[cut:]))
    assert canonical_view(joined(*delivered)) == canonical_view(grouped) == canonical_view(whole)
    assert view(grouped) == view(whole)


def _written(device: Device, kind: str, choice: int, wall_ms: int) -> ObjectState:
    """One change of the kind by a device: an edit of the field, or a step of the object's life."""
    if kind == "life" and device.shown is not None:
        step = delete if choice % 2 and (device.state.alive or device.state.recovered) else restore
        change = (
            device.write() if device.state.alive and choice == 0 else step(device.state, device.next_dot())
        )
        device.see(change)
        return change
    field, edits = EDITS["counter" if kind == "life" else kind]
    edit: FieldEdits = edits[choice % len(edits)]  # type: ignore[assignment]  # all of them are edits
    return device.write(wall_ms, **{field: edit})


_steps = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 50)), min_size=2, max_size=9)


@pytest.mark.parametrize("kind", [*EDITS, "life"])
@many
@given(steps=_steps, random=st.randoms(use_true_random=False))
def test_devices_that_wrote_apart_show_the_same_once_they_have_it_all(
    kind: str, steps: list[tuple[int, int, int]], random: Random
) -> None:
    """Real writers, each seeing any part of what the others wrote, then everything shuffled and repeated."""
    devices = [Device(A), Device(B), Device(C)]
    changes: list[ObjectState] = []
    for number, choice, wall_ms in steps:
        devices[number].see(*random.sample(changes, random.randint(0, len(changes))))
        changes.append(_written(devices[number], kind, choice, wall_ms))
    whole = joined(*changes)
    for device in devices:
        device.see(*random.sample([*changes, *changes], 2 * len(changes)))
        assert canonical_view(device.state) == canonical_view(whole)
        assert view(device.state) == view(whole)


@many
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(-3, 5)), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_a_counter_loses_no_count_and_counts_none_twice(steps: list[tuple[int, int]], random: Random) -> None:
    devices = [Device(A), Device(B), Device(C)]
    changes: list[ObjectState] = []
    for number, amount in steps:
        devices[number].see(*random.sample(changes, random.randint(0, len(changes))))
        changes.append(devices[number].write(reads=Increment(amount)))
    random.shuffle(changes)
    total = view(joined(*changes, *changes))["fields"]["reads"]
    assert total == sum(amount for _, amount in steps)
