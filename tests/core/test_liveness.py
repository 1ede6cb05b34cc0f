"""What is live, told newest first, is what the definition says of the whole log."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from echolia.core import runs
from echolia.core.liveness import Liveness
from echolia.core.parts import find_parts, with_leaves
from tests.support.live_changes import Logged, live_at
from tests.support.runs import Writer

DEVICES = [bytes([n]) * 16 for n in (1, 2, 3)]
STRANGER = bytes([9]) * 16

contexts = st.dictionaries(st.sampled_from([*DEVICES, STRANGER]), st.integers(1, 6))
cut_offs = st.dictionaries(st.sampled_from(DEVICES), st.integers(0, 6))


@st.composite
def logs(draw: st.DrawFn) -> list[Logged]:
    """A log of changes by three devices to three objects; contexts say anything."""
    counters, found = dict.fromkeys(DEVICES, 0), []
    for seq in range(1, draw(st.integers(1, 14)) + 1):
        device = draw(st.sampled_from(DEVICES))
        counters[device] += 1
        context = {other: n for other, n in draw(contexts).items() if other != device}
        object_ = bytes([draw(st.integers(1, 3))]) * 16
        leaf = seq.to_bytes(32, "big")
        found.append(Logged(seq, device, counters[device], draw(st.booleans()), object_, context, leaf))
    return found


def told(log: list[Logged], liveness: Liveness) -> set[int]:
    """The positions that are live, by a walk from the newest to the oldest."""
    return {
        each.seq
        for each in reversed(log)
        if liveness.tell(
            each.device,
            each.counter,
            runs.STATE if each.state else runs.DELTA,
            each.object,
            each.context,
        )
    }


@given(logs(), cut_offs)
def test_a_walk_tells_what_the_definition_says(log: list[Logged], cutoffs: Mapping[bytes, int]) -> None:
    expected = {each.seq for each in live_at(log, len(log), cutoffs)}
    assert told(log, Liveness(cutoffs, DEVICES)) == expected


@given(logs(), st.integers(1, 4))
def test_a_walk_may_be_made_in_shares(log: list[Logged], shares: int) -> None:
    found = set[int]()
    for share in range(shares):
        found |= told(log, Liveness({}, DEVICES, lambda object_, n=share: object_[0] % shares == n))  # type: ignore[misc]
    assert found == {each.seq for each in live_at(log, len(log), {})}


@given(logs(), st.data())
def test_what_was_superseded_before_stays_so(log: list[Logged], data: st.DataObject) -> None:
    earlier = data.draw(st.integers(0, len(log)))
    kept = {each.seq for each in live_at(log[:earlier], earlier, {})}
    left = [each for each in log if each.seq > earlier or each.seq in kept]
    assert live_at(left, len(log), {}) == live_at(log, len(log), {})
    assert told(left, Liveness({}, DEVICES)) == told(log, Liveness({}, DEVICES))


@given(logs())
def test_what_is_remembered_is_bounded_by_objects_and_devices(log: list[Logged]) -> None:
    liveness = Liveness({}, DEVICES)
    for each in reversed(log):
        context = {device: n for device, n in each.context.items() if device in DEVICES}
        liveness.tell(each.device, each.counter, runs.STATE, each.object, context)
    assert liveness.kept <= 3 * (1 + len(DEVICES))


def test_a_run_is_walked_as_it_lies_and_leaves_are_passed_over() -> None:
    writer = Writer(bytes(16))
    for object_ in (1, 2, 1, 2):
        writer.change(bytes([object_]) * 16, b"s" * 16, context={STRANGER: 4, DEVICES[0]: 2})
    frame = writer.run()
    header = runs.read_header(frame)
    parts = find_parts(frame, header, partial=False)
    assert Liveness({}, [writer.device]).walk(frame, header, parts) == [False, False, True, True]
    shorter = with_leaves(frame, parts, [True, False, True, False])
    found = find_parts(shorter, header, partial=True)
    assert Liveness({}, [writer.device]).walk(shorter, header, found) == [False, False, True, False]
    assert with_leaves(shorter, found, [False, True, True, True]) == with_leaves(
        frame, parts, [False, False, True, False]
    )
