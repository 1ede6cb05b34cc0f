"""The server's sealing keys: the same in all processes, opened while shown and a while after, then gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from echolia.sealed.documents import MOST_KEYS
from echolia.sealed.key_ring import EARLY_MS, LATE_MS, PERIOD_MS, Chain, KeyRing, Link, new_chain
from echolia.sealed.suites import public_of

SECRET = b"\7" * 32
START_MS = 1_795_000_000_000
YEAR_MS = 365 * 24 * PERIOD_MS
# Moments that come close to those in which keys come and go, and gaps in which many do.
GAPS = (
    st.sampled_from(
        [0, 1, PERIOD_MS - EARLY_MS - 1, PERIOD_MS - EARLY_MS, PERIOD_MS, LATE_MS, 256 * PERIOD_MS]
    )
    | st.integers(0, 3 * PERIOD_MS)
    | st.integers(0, 2 * YEAR_MS)
)
JUMPS = GAPS | GAPS.map(int.__neg__)


class Clock:
    """Time in milliseconds that a test sets."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


def ring(clock: Clock, chain: Chain | None = None) -> KeyRing:
    return KeyRing(new_chain(SECRET, START_MS) if chain is None else chain, clock)


def opened(keys: KeyRing) -> dict[int, bytes]:
    """Every secret that it opens by."""
    ids = {number % 256 for _, number in keys.chain().kept}
    found = {key_id: keys.secret_of(key_id) for key_id in ids}
    return {key_id: secret for key_id, secret in found.items() if secret is not None}


def reachable(keys: KeyRing) -> set[bytes]:
    """All bytes that its objects hold."""
    return set(_bytes_in(vars(keys)))


def _bytes_in(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes | bytearray | memoryview):
        yield bytes(value)
    elif isinstance(value, dict):
        yield from _bytes_in([*value, *value.values()])
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _bytes_in(each)
    elif not isinstance(value, int | str | Clock):
        raise TypeError(f"who walks here has to know {type(value).__name__}")


@settings(max_examples=40)
@given(st.lists(GAPS, min_size=1, max_size=6), st.lists(st.booleans(), min_size=8, max_size=8))
@example([0, 256 * PERIOD_MS], [True] * 8)
def test_processes_that_begin_alike_have_the_same_keys_at_every_later_time(
    gaps: Sequence[int], asked: Sequence[bool]
) -> None:
    clock = Clock()
    first = ring(clock)
    second = ring(clock, Chain.load(first.chain().dump()))
    for gap, both in zip(gaps, asked, strict=False):
        clock.now_ms += gap
        if both:
            second.shown()
        assert first.shown()
    late = ring(clock, Chain.load(first.chain().dump()))
    assert first.shown() == second.shown() == late.shown()
    assert opened(first) == opened(second) == opened(late)
    assert first.chain() == second.chain() == late.chain()


@settings(max_examples=40)
@given(st.lists(JUMPS, min_size=1, max_size=6))
@example([-YEAR_MS])
@example([YEAR_MS, -YEAR_MS, -YEAR_MS, PERIOD_MS])
@example([256 * PERIOD_MS, -256 * PERIOD_MS])
def test_whatever_the_clock_does_what_is_shown_is_opened_for_and_ids_differ(jumps: Sequence[int]) -> None:
    clock = Clock()
    keys = ring(clock)
    for jump in jumps:
        clock.now_ms = max(0, clock.now_ms + jump)
        shown, secrets = keys.shown(), opened(keys)
        assert 1 <= len(shown) <= MOST_KEYS
        assert len({key.id for key in shown}) == len(shown)
        assert [key.public for key in shown] == [public_of(secrets[key.id]) for key in shown]
        assert len(secrets) == len(keys.chain().kept)


@settings(max_examples=40)
@given(st.lists(GAPS, min_size=1, max_size=6))
def test_a_clock_that_goes_on_shows_a_key_of_now_first_and_the_next_one_early(gaps: Sequence[int]) -> None:
    clock = Clock()
    keys = ring(clock)
    for gap in gaps:
        clock.now_ms += gap
        first, *others = keys.shown()
        assert first.from_ms <= clock.now_ms < first.until_ms
        assert len(others) == (first.until_ms - EARLY_MS <= clock.now_ms)
        assert [key.from_ms for key in others] == [first.until_ms] * len(others)


@given(st.integers(0, 300 * PERIOD_MS), st.integers(0, PERIOD_MS + LATE_MS - 1))
def test_a_key_is_opened_for_an_hour_longer_than_it_is_shown(at_ms: int, later_ms: int) -> None:
    clock = Clock(START_MS + at_ms)
    keys = ring(clock)
    key = keys.shown()[0]
    clock.now_ms = min(clock.now_ms + later_ms, key.until_ms + LATE_MS - 1)
    secret = keys.secret_of(key.id)
    assert secret is not None and public_of(secret) == key.public
    clock.now_ms = key.until_ms + LATE_MS
    assert keys.secret_of(key.id) is None


@settings(max_examples=40)
@given(st.lists(st.integers(0, 3 * PERIOD_MS), min_size=1, max_size=6))
@example([PERIOD_MS + LATE_MS])
def test_what_was_forgotten_cannot_be_had_from_what_is_in_memory(gaps: Sequence[int]) -> None:
    clock = Clock()
    keys, witness = ring(clock), ring(clock)
    seen: dict[bytes, int] = {}  # a secret, and when it has to be gone
    links: dict[bytes, int] = {SECRET: 0}  # a link, and the key that is made from it
    for gap in gaps:
        until_ms = clock.now_ms + gap
        while clock.now_ms < until_ms:
            clock.now_ms = min(until_ms, clock.now_ms + PERIOD_MS // 4)
            seen |= {secret: _gone_ms(number) for secret, number in witness.chain().kept}
            links[witness.chain().next.secret] = witness.chain().next.number
        keys.shown()
        held, now_ms = reachable(keys), clock.now_ms
        assert {secret for secret, gone_ms in seen.items() if gone_ms <= now_ms}.isdisjoint(held)
        number = keys.chain().next.number
        # A link of before gives all keys since: only the next one may be there.
        assert {link for link, made in links.items() if made < number}.isdisjoint(held)
        assert {secret for secret, gone_ms in seen.items() if gone_ms > now_ms} <= held


def _gone_ms(number: int) -> int:
    return START_MS + (number + 1) * PERIOD_MS + LATE_MS


def test_a_clock_set_back_brings_no_key_back() -> None:
    clock = Clock()
    keys = ring(clock)
    (before,) = opened(keys).values()
    clock.now_ms += YEAR_MS
    after = opened(keys)
    clock.now_ms -= YEAR_MS
    assert opened(keys) == after
    assert before not in reachable(keys)
    assert ring(clock, keys.chain()).shown() == keys.shown()


def test_there_is_a_key_where_the_clock_was_set_back_before_the_first_was_asked_for() -> None:
    clock = Clock(START_MS - YEAR_MS)
    (key,) = ring(clock).shown()
    assert (key.from_ms, key.until_ms) == (START_MS, START_MS + PERIOD_MS)


@given(
    st.integers(0, 2**45),
    st.lists(st.tuples(st.binary(min_size=32, max_size=32), st.integers(0, 10**6)), max_size=3),
    st.binary(min_size=32, max_size=32),
)
def test_a_chain_goes_through_a_pipe_as_it_is(
    begun_ms: int, kept: Sequence[tuple[bytes, int]], secret: bytes
) -> None:
    chain = Chain(begun_ms, [Link(*each) for each in kept], Link(secret, 7))
    assert Chain.load(chain.dump()) == chain


def test_no_secret_is_shown() -> None:
    link = Link(SECRET, 7)
    assert repr(link) == "Link(7)"
    assert SECRET.hex() not in repr(Chain(0, [link], link)) and repr(SECRET) not in repr(
        Chain(0, [link], link)
    )
