"""The push body and the pull page as bytes: what is written is read, everything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from echolia.core import push, runs
from echolia.core.errors import EcholiaError
from echolia.core.parts import find_parts, with_leaves
from echolia.core.positions import LogPosition
from tests.vectors import reference
from tests.vectors.world import LAPTOP, PHONE, TAGS, change, run, seed

EXPECTED = {"malformed_binary", "unsupported_version", "run_invalid"}
NUMBERS = st.integers(0, 2**53 - 1)
CONTENTS = st.binary(min_size=runs.RUN_HEADER_BYTES, max_size=runs.RUN_HEADER_BYTES + 20)
ITEMS = st.builds(push.Item, NUMBERS, NUMBERS, st.sampled_from([0, 1, 2]), CONTENTS)
MIXED = run(LAPTOP, changes=[change("a", context=[(PHONE.id, 1)]), change("b", stream=TAGS), change("c")])


def page_of(page: push.Page) -> bytes:
    """A page's bytes, as the server joins them."""
    parts = [push.page_head(page.more, page.head, len(page.items))]
    for item in page.items:
        parts += (
            push.item_head(item.seq, item.received_ms, item.form, len(item.content)),
            bytes(item.content),
        )
    return b"".join(parts)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=64))
def test_frames_come_back_from_a_push(frames: list[bytes]) -> None:
    body = push.write_push(frames)
    assert push.read_push(body) == frames
    assert body == reference.push(frames)


@settings(max_examples=300)
@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda tail: b"\1\0\2" + tail))
@example(b"\1\0\1\xff\xff\xff\xff")
@example(b"\1\xff\xff")
def test_any_bytes_are_a_push_or_refused(body: bytes) -> None:
    try:
        frames = push.read_push(body)
    except EcholiaError as error:
        code = error.code
    else:
        assert push.write_push(map(bytes, frames)) == body
        return
    assert code in EXPECTED


def test_reading_a_push_copies_nothing() -> None:
    body = push.write_push([b"one", b"two"])
    assert [frame.obj is body for frame in push.read_push(body)] == [True, True]


@given(st.booleans(), NUMBERS, NUMBERS, st.lists(ITEMS, max_size=4))
def test_a_page_comes_back(more: bool, epoch: int, seq: int, items: list[push.Item]) -> None:
    page = push.Page(more, LogPosition(epoch, seq, seed("log")), items)
    body = page_of(page)
    assert push.read_page(body) == page
    written = [reference.item(*item[:3], bytes(item.content)) for item in items]
    assert body == reference.page((epoch, seq, seed("log")), written, int(more))


@settings(max_examples=300)
@given(st.binary(max_size=500))
@example(b"\1\0" + bytes(48) + b"\xff\xff\xff\xff")
@example(b"\1\0" + bytes(48) + b"\xff\xff\xff\xff" + bytes(500))
def test_any_bytes_are_a_page_or_refused(body: bytes) -> None:
    try:
        page = push.read_page(body)
    except EcholiaError as error:
        code = error.code
    else:
        assert page_of(page) == body
        return
    assert code in EXPECTED


@given(st.lists(st.booleans(), min_size=3, max_size=3))
def test_a_partial_run_keeps_its_chain(wanted: list[bool]) -> None:
    header = runs.read_header(MIXED.frame)
    ends = runs.change_ends(MIXED.frame, header)
    content = with_leaves(MIXED.frame, find_parts(MIXED.frame, header, partial=False), wanted)
    assert content == reference.partial(MIXED, wanted)
    parts = list(push.read_parts(content, header))
    changes = list(runs.read_changes(MIXED.frame, header, ends))
    leaves = runs.leaves(MIXED.frame, ends)
    assert parts == [changes[n] if whole else leaves[n] for n, whole in enumerate(wanted)]
    assert list(push.read_parts(memoryview(content), header)) == parts  # type: ignore[arg-type]


@settings(max_examples=200)
@given(st.binary(max_size=400), st.integers(1, 4))
def test_any_bytes_are_parts_or_refused(tail: bytes, count: int) -> None:
    header = runs.read_header(MIXED.frame)._replace(count=count)
    try:
        parts = list(push.read_parts(header.pack() + tail, header))
    except EcholiaError as error:
        code = error.code
    else:
        assert len(parts) == count
        return
    assert code in EXPECTED


@pytest.mark.parametrize("cut", [0, 1, 33, 60, -1])
def test_cut_parts_are_refused(cut: int) -> None:
    header = runs.read_header(MIXED.frame)
    content = reference.partial(MIXED, [False, True, False])
    cut_content = content[: runs.RUN_HEADER_BYTES + cut] if cut >= 0 else content[:cut]
    with pytest.raises(EcholiaError) as refused:
        list(push.read_parts(cut_content, header))
    assert refused.value.code in EXPECTED


def test_media_types_are_those_of_the_specification() -> None:
    assert (push.PUSH_TYPE, push.PAGE_TYPE) == (
        "application/vnd.echolia.push",
        "application/vnd.echolia.page",
    )
