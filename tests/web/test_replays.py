"""What was seen of sealed requests: each is taken once, as long as it could be, while there is room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echolia.core.errors import EcholiaError
from echolia.web.replays import Seen
from echolia.web.sealed_door import FRESH_MS

MINUTE_MS = 60_000
START_MS = 1_795_000_000_000


class Clock:
    """Time in milliseconds that a test sets."""

    now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


async def test_the_same_is_refused_and_another_is_not() -> None:
    seen = Seen(Clock())
    assert await seen.first(b"a", START_MS + MINUTE_MS)
    assert not await seen.first(b"a", START_MS + MINUTE_MS)
    assert not await seen.first(b"a", START_MS + 4 * MINUTE_MS), "said with another time it is the same"
    assert await seen.first(b"b", START_MS + MINUTE_MS)


@given(st.integers(-FRESH_MS, FRESH_MS), st.integers(0, 10 * MINUTE_MS), st.integers(0, MINUTE_MS))
async def test_it_is_remembered_as_long_as_it_could_be_taken(iat_off: int, later_ms: int, start: int) -> None:
    clock = Clock()
    clock.now_ms += start
    seen, iat_ms = Seen(clock), clock.now_ms + iat_off
    assert await seen.first(b"a", iat_ms + 2 * FRESH_MS)
    clock.now_ms += later_ms
    if abs(clock.now_ms - iat_ms) <= FRESH_MS:
        assert not await seen.first(b"a", iat_ms + 2 * FRESH_MS)


async def test_it_is_forgotten_afterwards() -> None:
    clock = Clock()
    seen = Seen(clock)
    for n in range(100):
        await seen.first(bytes([n]), clock.now_ms + n * 1000)
    assert seen.count == 100
    clock.now_ms += 3 * MINUTE_MS
    assert await seen.first(b"a", clock.now_ms)
    assert seen.count == 1


async def test_where_there_is_no_room_nothing_is_taken_and_nothing_forgotten() -> None:
    clock = Clock()
    seen = Seen(clock, most=2)
    for enc in (b"a", b"b"):
        assert await seen.first(enc, START_MS + MINUTE_MS)
    with pytest.raises(EcholiaError, match="unavailable"):
        await seen.first(b"c", START_MS + MINUTE_MS)
    assert not await seen.first(b"a", START_MS + MINUTE_MS)
    clock.now_ms += 3 * MINUTE_MS
    assert await seen.first(b"c", clock.now_ms + MINUTE_MS)
