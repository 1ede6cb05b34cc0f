"""The few frames of a WebSocket whose client only listens."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echolia.web import frames
from tests.support.websocket import CLOSE, PING, PONG, masked

CONTROL = st.tuples(
    st.sampled_from([CLOSE, PING, PONG]), st.binary(max_size=125), st.binary(min_size=4, max_size=4)
)


def read(*pieces: bytes) -> list[frames.Control]:
    """Everything that is read from these pieces."""
    reader = frames.Reader()
    return [frame for piece in pieces for frame in reader.feed(piece)]


@given(st.lists(CONTROL, max_size=5), st.lists(st.integers(0, 700), max_size=4))
def test_frames_are_read_however_they_are_cut(sent: list[tuple[int, bytes, bytes]], cuts: list[int]) -> None:
    data = b"".join(masked(opcode, payload, mask=mask) for opcode, payload, mask in sent)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in pairwise(edges)]
    assert read(*pieces) == [(opcode, payload) for opcode, payload, _ in sent]


@given(st.binary(max_size=300))
def test_any_bytes_are_frames_or_unwelcome(data: bytes) -> None:
    reader = frames.Reader()
    with suppress(frames.Unwelcome):
        for frame in reader.feed(data):
            assert frame.opcode in (CLOSE, PING, PONG)
            assert len(frame.payload) <= 125
    assert len(reader._rest) < 131


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (masked(1, b"text"), 1008),
        (masked(2), 1008),
        (masked(0), 1008),
        (b"\x81\xff", 1008),  # of any length: no more than its first bytes is looked at
        (b"\x89\x00", 1002),  # not masked
        (masked(PING, final=False), 1002),
        (b"\x89\xfe", 1002),  # longer than a control frame may be
        (masked(3), 1002),
        (masked(0xB), 1002),
        (b"\xc9\x80", 1002),  # an extension that nobody agreed on
    ],
)
def test_what_is_unwelcome(data: bytes, code: int) -> None:
    with pytest.raises(frames.Unwelcome) as caught:
        read(masked(PING), data)
    assert caught.value.code == code


def test_what_came_before_the_unwelcome_is_read() -> None:
    read_on = frames.Reader().feed(masked(PING, b"x") + masked(1))
    assert next(read_on) == (PING, b"x")
    with pytest.raises(frames.Unwelcome):
        next(read_on)


def test_what_we_write() -> None:
    assert frames.text("x" * 125)[:2] == b"\x81\x7d"
    assert frames.text("é" * 63)[:4] == b"\x81\x7e\x00\x7e"
    assert frames.control(frames.PING) == b"\x89\x00"
    assert frames.close(4001, "token_expired") == b"\x88\x0f\x0f\xa1token_expired"
    assert len(frames.close(1001, "x" * 500)) == 2 + 125


def test_the_handshake_of_rfc_6455() -> None:
    assert frames.accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert frames.is_key(b"dGhlIHNhbXBsZSBub25jZQ==")
    for wrong in (b"", b"dGhl", b"dGhlIHNhbXBsZSBub25jZQ", b"dGhlIHNhbXBsZSBub25jZ!==", b"\xff" * 24):
        assert not frames.is_key(wrong)
