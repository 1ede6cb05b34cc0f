"""Runs and changes as bytes: what is written is read, what is not a run is refused, hashes chain."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from echolia.core import runs
from echolia.core.errors import EcholiaError
from echolia.core.runs import RUN_HEADER_BYTES, RunHeader, RunInvalid
from echolia.core.signing import verify
from tests.vectors import reference
from tests.vectors.reference import Change, Run
from tests.vectors.world import ACCOUNT, EPOCH, LAPTOP, PHONE, change, filler, run, seed

EXPECTED = {"run_invalid", "unsupported_version"}
COUNTERS = st.integers(1, 2**53 - 1)
IDS = st.binary(min_size=16, max_size=16).filter(lambda device: device != LAPTOP.id)
CHANGES = st.builds(
    lambda kind, generation, object_, stream, context, length: Change(
        filler("body", length), kind, generation, object_, stream, sorted(context.items())
    ),
    st.sampled_from([1, 2]),
    st.integers(1, 2**32 - 1),
    IDS,
    IDS,
    st.dictionaries(IDS, COUNTERS, max_size=3),
    st.sampled_from([256, 272, 288]),
)
RUNS = st.builds(
    lambda changes, first, prev, seen: Run(ACCOUNT, LAPTOP, changes, first, prev, seen),
    st.lists(CHANGES, min_size=1, max_size=4),
    st.integers(1, 2**53 - 1001),
    st.binary(min_size=32, max_size=32),
    st.tuples(st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 1), st.binary(min_size=32, max_size=32)),
)
THREE = run(LAPTOP, changes=[change("a", context=[(PHONE.id, 7)]), change("b", kind=2), change("c")])
FRAME = THREE.frame
LAPTOP_KEY = LAPTOP.public["sign"]
moderate = settings(max_examples=40)


def walk(frame: bytes) -> tuple[RunHeader, list[int]]:
    """A frame's header and ends."""
    header = runs.read_header(frame)
    return header, runs.change_ends(frame, header)


def refusal(frame: bytes) -> str | None:
    """The code by which a frame is refused, or None; any other exception is the test's failure."""
    try:
        walk(frame)
    except EcholiaError as error:
        return error.code
    return None


@moderate
@given(RUNS)
def test_what_is_written_is_read(written: Run) -> None:
    header, ends = walk(written.frame)
    assert header.pack() == written.header
    assert (header.device, header.first, header.last, header.prev) == (
        LAPTOP.id, written.first, written.last, written.start,
    )  # fmt: skip
    assert tuple(header.seen) == written.seen
    read = list(runs.read_changes(written.frame, header, ends))
    for each, wanted in zip(read, written.changes, strict=True):
        place = (each.kind, each.generation, each.object, each.stream, each.context)
        assert each.header == wanted.header == runs.change_header(*place, len(each.body))
        assert list(each.context.items()) == wanted.context
        assert each.body == wanted.body
    assert [each.counter for each in read] == list(range(written.first, written.last + 1))
    starts = (runs.RUN_HEADER_BYTES, *ends[:-1])
    assert [runs.stream_at(written.frame, at) for at in starts] == [each.stream for each in written.changes]
    assert [runs.object_at(written.frame, at) for at in starts] == [each.object for each in written.changes]


@moderate
@given(RUNS)
def test_hashes_are_those_of_the_specification_however_they_are_made(written: Run) -> None:
    frame, chains = written.frame, written.chains
    header, ends = walk(frame)
    leaves = runs.leaves(frame, ends)
    assert leaves == [each.leaf for each in written.changes]
    assert runs.chains(frame, header, ends) == chains
    for count in range(len(leaves) + 1):
        assert runs.fold(header.prev, leaves[:count]) == [header.prev, *chains][count]
    assert verify(LAPTOP_KEY, header.message(ACCOUNT, chains[-1]), header.signature)


@moderate
@given(RUNS, st.data())
def test_a_run_without_its_first_changes_keeps_its_signature(written: Run, data: st.DataObject) -> None:
    header, ends = walk(written.frame)
    known = data.draw(st.integers(0, header.count - 1))
    if known:
        rest, frame = runs.without_first(written.frame, header, ends, known, written.chains[known - 1])
    else:
        rest, frame = header, written.frame
    again, again_ends = walk(frame)
    assert again == rest
    assert (again.first, again.count, again.last) == (header.first + known, header.count - known, header.last)
    chains = runs.chains(frame, again, again_ends)
    assert chains == written.chains[known:]
    assert verify(LAPTOP_KEY, again.message(ACCOUNT, chains[-1]), again.signature)


@settings(max_examples=300)
@given(st.binary(max_size=400))
@example(bytes(RUN_HEADER_BYTES))
@example(b"\1\1" + bytes(400))
@example(b"\1\1" + b"\xff" * 400)
def test_any_bytes_are_a_run_or_refused(frame: bytes) -> None:
    assert refusal(frame) in EXPECTED | {None}


@settings(max_examples=200)
@given(st.integers(0, len(FRAME) - 1), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_breaks_the_signature(at: int, value: int) -> None:
    frame = bytearray(FRAME)
    if frame[at] == value:
        return
    frame[at] = value
    code = refusal(bytes(frame))
    assert code in EXPECTED | {None}
    if code is None:
        header, ends = walk(bytes(frame))
        message = header.message(ACCOUNT, runs.chains(bytes(frame), header, ends)[-1])
        moved = header.device != LAPTOP.id
        assert moved or not verify(LAPTOP_KEY, message, header.signature)


def test_every_cut_is_refused() -> None:
    assert {refusal(FRAME[:length]) for length in range(len(FRAME))} == {"run_invalid"}


def test_memoryviews_are_read_like_bytes() -> None:
    header, ends = walk(FRAME)
    view = memoryview(b"before" + FRAME)[6:]
    assert runs.read_header(view) == header
    assert runs.change_ends(view, header) == ends
    assert runs.chains(view, header, ends) == THREE.chains
    assert list(runs.read_changes(view, header, ends)) == list(runs.read_changes(FRAME, header, ends))
    assert runs.without_first(view, header, ends, 1, THREE.chains[0]) == runs.without_first(
        FRAME, header, ends, 1, THREE.chains[0]
    )


@pytest.mark.parametrize(
    ("first", "taken"), [(2**53 - 1001, True), (2**53 - 1000, False), (2**53 - 1, False)]
)
def test_counters_never_leave_what_all_languages_count(first: int, taken: bool) -> None:
    assert (refusal(replace(THREE, first=first).frame) is None) == taken


@pytest.mark.parametrize(("count", "taken"), [(1000, True), (1001, False)])
def test_a_run_holds_at_most_a_thousand_changes(count: int, taken: bool) -> None:
    small = change("small")
    assert (refusal(run(LAPTOP, changes=[small] * count).frame) is None) == taken


def test_a_frame_is_at_most_four_mebibytes() -> None:
    large = change("large", body=bytes(1 << 20))
    assert refusal(run(LAPTOP, changes=[large] * 3).frame) is None
    with pytest.raises(RunInvalid, match="too long") as refused:
        walk(run(LAPTOP, changes=[large] * 4).frame)
    assert refused.value.at == 0


def test_a_length_found_right_once_is_not_right_for_a_frame_that_lacks_it() -> None:
    assert refusal(run(LAPTOP, changes=[change("x", body=filler("x", 544))]).frame) is None
    short = run(LAPTOP, changes=[change("x", body=filler("x", 300), body_length=544)])
    assert refusal(short.frame) == "run_invalid"


def test_a_refusal_names_the_change() -> None:
    broken = replace(THREE, changes=[*THREE.changes[:2], change("c", generation=0)], first=40)
    with pytest.raises(RunInvalid) as refused:
        walk(broken.frame)
    assert refused.value.at == 42
    assert refused.value.code == "run_invalid"


def test_every_device_and_account_has_a_chain_of_its_own() -> None:
    starts = {runs.chain_start(a, d) for a in (ACCOUNT, seed("b")[:16]) for d in (LAPTOP.id, PHONE.id)}
    assert len(starts) == 4
    assert runs.chain_start(ACCOUNT, LAPTOP.id) == reference.chain_start(ACCOUNT, LAPTOP.id)


def test_the_signature_covers_what_the_writer_had_seen() -> None:
    seen = replace(THREE, seen=(EPOCH, 3, seed("log")))
    header, ends = walk(seen.frame)
    unseen = header._replace(seen=header.seen._replace(seq=2))
    chain = runs.chains(seen.frame, header, ends)[-1]
    assert verify(LAPTOP_KEY, header.message(ACCOUNT, chain), header.signature)
    assert not verify(LAPTOP_KEY, unseen.message(ACCOUNT, chain), header.signature)


def test_a_leaf_is_the_hash_of_the_whole_change() -> None:
    _, ends = walk(FRAME)
    raw = FRAME[RUN_HEADER_BYTES : ends[0]]
    assert runs.leaves(FRAME, ends)[0] == sha256(raw).digest()
