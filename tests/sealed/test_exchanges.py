"""Requests and responses whatever they hold and in whatever pieces they come; no bit of either is spare."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from echolia.core.errors import EcholiaError
from echolia.sealed.chunks import ChunkReader, varint
from echolia.sealed.frames import (
    framed_request,
    framed_response,
    request_length,
    unframed_final,
    unframed_request,
    unframed_response,
)
from echolia.sealed.requests import MOST_CHUNKS, open_request, seal
from echolia.sealed.responses import ResponseOpener
from echolia.sealed.suites import public_of

SECRET, EPHEMERAL, NONCE = b"\1" * 32, b"\2" * 32, b"\3" * 32
KEY_ID = 7
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda within: st.lists(within, max_size=4) | st.dictionaries(st.text(), within, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=5)
WORDS: Sequence[dict[str, Any]] = ({"parts": ["Good "]}, {}, {"parts": ["morning"]}, {"status": 200})


def request(plain: bytes, chunk_bytes: int = 16_384) -> tuple[bytes, ResponseOpener]:
    return seal(KEY_ID, public_of(SECRET), plain, EPHEMERAL, chunk_bytes=chunk_bytes)


def answer(body: bytes, objects: Sequence[dict[str, Any]] = WORDS) -> bytes:
    sealer = open_request(body, {KEY_ID: SECRET}.get, NONCE).answer
    chunks = [sealer.chunk(framed_response(each)) for each in objects[:-1]]
    return b"".join([sealer.nonce, *chunks, sealer.final(framed_response(objects[-1]))])


def opened(opener: ResponseOpener, pieces: Sequence[bytes]) -> list[dict[str, Any]]:
    """What a device has in the end; it looks at each piece as it comes."""
    found = [unframed_response(plain) for piece in pieces for plain in opener.feed(piece)]
    return [*found, unframed_final(opener.end())]


def cut(body: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


@given(OBJECTS, st.integers(1, 2000))
def test_a_request_opens_however_it_is_cut_into_chunks(said: dict[str, Any], chunk_bytes: int) -> None:
    plain = framed_request(said)
    body, _ = request(plain, max(chunk_bytes, -(-len(plain) // MOST_CHUNKS)))
    assert unframed_request(open_request(body, {KEY_ID: SECRET}.get, NONCE).plain) == said


@given(OBJECTS, st.lists(st.integers(0, 10**6), max_size=30))
def test_a_response_opens_alike_in_whatever_pieces_it_comes(
    said: dict[str, Any], places: Sequence[int]
) -> None:
    body, opener = request(framed_request({}))
    objects = [said, *WORDS]
    assert opened(opener, cut(answer(body, objects), places)) == objects


def test_a_response_opens_byte_by_byte() -> None:
    body, opener = request(framed_request({}))
    whole = answer(body)
    assert opened(opener, [whole[at : at + 1] for at in range(len(whole))]) == list(WORDS)


@given(st.integers(0, 10**6), st.integers(0, 7), st.integers(10, 2000))
@example(38, 7, 1024)  # the bit of `enc` that X25519 does not look at
def test_no_bit_of_a_request_is_spare(at: int, bit: int, chunk_bytes: int) -> None:
    plain = framed_request({"ask": "Good morning"})
    changed = bytearray(request(plain, max(chunk_bytes, 40))[0])
    changed[at % len(changed)] ^= 1 << bit
    with pytest.raises(EcholiaError) as caught:
        open_request(bytes(changed), {KEY_ID: SECRET}.get, NONCE)
    assert caught.value.code in {"sealed_invalid", "unsupported_version", "sealed_key_unknown"}
    assert caught.value.__context__ is None or isinstance(caught.value.__context__, EcholiaError)


@given(st.integers(0, 10**6), st.integers(0, 7), st.lists(st.integers(0, 10**6), max_size=8))
def test_no_bit_of_a_response_is_spare(at: int, bit: int, places: Sequence[int]) -> None:
    body, opener = request(framed_request({}))
    changed = bytearray(answer(body))
    changed[at % len(changed)] ^= 1 << bit
    with pytest.raises(EcholiaError) as caught:
        opened(opener, cut(bytes(changed), places))
    assert caught.value.code in {"sealed_invalid", "sealed_truncated"}


@given(st.integers(0, 10**6))
def test_a_response_that_is_cut_anywhere_is_never_taken_for_a_whole_one(length: int) -> None:
    body, opener = request(framed_request({}))
    whole = answer(body)
    with pytest.raises(EcholiaError) as caught:
        opened(opener, [whole[: length % len(whole)]])
    assert caught.value.code in {"sealed_invalid", "sealed_truncated"}


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**6), max_size=8))
def test_what_is_shown_of_a_cut_response_is_the_beginning_of_it(length: int, places: Sequence[int]) -> None:
    body, opener = request(framed_request({}))
    whole = answer(body)
    shown = []
    for piece in cut(whole[: length % len(whole)], places):
        shown += [unframed_response(plain) for plain in opener.feed(piece)]
    assert shown == list(WORDS[: len(shown)])


def test_nothing_is_looked_at_behind_a_chunk_that_did_not_open() -> None:
    body, opener = request(framed_request({}))
    sealer = open_request(body, {KEY_ID: SECRET}.get, NONCE).answer
    first, second = (sealer.chunk(framed_response(each)) for each in WORDS[:2])
    end = sealer.final(framed_response(WORDS[-1]))
    with pytest.raises(EcholiaError, match="sealed_invalid"):
        list(opener.feed(sealer.nonce + first[:-1] + bytes([first[-1] ^ 1])))
    for more in (second, end):
        with pytest.raises(EcholiaError, match="sealed_invalid"):
            list(opener.feed(more))
    with pytest.raises(EcholiaError, match="sealed_invalid"):
        opener.end()


def test_an_answer_opens_by_no_other_request() -> None:
    body, _ = request(framed_request({}))
    _, other = seal(KEY_ID, public_of(SECRET), framed_request({}), b"\4" * 32)
    with pytest.raises(EcholiaError, match="sealed_invalid"):
        list(other.feed(answer(body)))


@given(st.integers(0, 2**62 - 1), st.lists(st.integers(0, 8), max_size=3))
def test_a_length_is_held_back_until_it_is_whole(number: int, places: Sequence[int]) -> None:
    reader = ChunkReader(1 << 61)
    coded = varint(number)
    try:
        for piece in cut(coded, places):
            assert list(reader.feed(piece)) == []
    except EcholiaError:
        assert 0 < number < 16 or number > 1 << 61


def test_a_number_of_more_than_62_bits_is_no_length() -> None:
    with pytest.raises(ValueError, match="too large"):
        varint(1 << 62)


@given(st.integers(0, 300_000))
def test_the_padding_of_a_request_wastes_little(length: int) -> None:
    padded = request_length(length)
    assert length <= padded <= max(1024, length * 1.12)
    assert request_length(padded) == padded


@given(OBJECTS)
def test_frames_hold_what_was_put_in(said: dict[str, Any]) -> None:
    assert unframed_response(framed_response(said)) == said
    assert len(framed_response(said)) % 64 == 0
    assert unframed_request(framed_request(said)) == said
