"""What waits is taken in turns and bounded, whoever asks how much."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echolia.core.errors import EcholiaError
from echolia.core.windows import Window
from echolia.embeddings.backlog import Backlog, Batch, Job
from echolia.engines.batches import BATCH_TOKENS, BATCH_WINDOWS, SHARED_TOKENS, STEP, first_batch, padded
from echolia.engines.whole_texts import Laid

ANNA, BEN, CARA = (bytes([n]) * 16 for n in range(3))


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop for futures that nobody waits for."""
    found = asyncio.new_event_loop()
    yield found
    found.close()


def job(loop: asyncio.AbstractEventLoop, account: bytes, *lengths: int) -> Job:
    """A job of windows so long."""
    windows = [[n] * length for n, length in enumerate(lengths)]
    texts = [[Window(0, length, length)] for length in lengths]
    laid = Laid(texts, list(windows), [padded(length) for length in lengths])
    return Job(account, laid, loop.create_future())


def taken(backlog: Backlog) -> tuple[bytes, int]:
    """Whose turn it is, and with how many windows."""
    batch = backlog.take()
    assert batch is not None
    assert len(batch) == 1
    return batch[0].job.account, len(batch[0].numbers)


def emptied(backlog: Backlog) -> list[Batch | None]:
    """All batches that there are."""
    found = []
    while backlog.waiting:
        found.append(backlog.take())
    return found


def refused(backlog: Backlog, one: Job) -> str:
    """The code by which it is not let in."""
    with pytest.raises(EcholiaError) as error:
        backlog.add(one)
    return error.value.code


def test_accounts_take_turns_whatever_they_brought(loop: asyncio.AbstractEventLoop) -> None:
    backlog = Backlog(1000)
    backlog.add(job(loop, ANNA, *[60] * 12))
    assert taken(backlog) == (ANNA, 2)
    backlog.add(job(loop, BEN, 3))
    backlog.add(job(loop, CARA, *[60] * 4))
    assert [taken(backlog) for _ in range(5)] == [(ANNA, 2), (BEN, 1), (CARA, 2), (ANNA, 2), (CARA, 2)]
    assert [taken(backlog) for _ in range(3)] == [(ANNA, 2)] * 3
    assert backlog.waiting == 0


def test_the_requests_of_an_account_take_turns(loop: asyncio.AbstractEventLoop) -> None:
    backlog = Backlog(1000)
    long, short = job(loop, ANNA, *[60] * 10), job(loop, ANNA, 4)
    backlog.add(long)
    backlog.add(short)
    found = [backlog.take() for _ in range(3)]
    assert [batch[0].job for batch in found if batch] == [long, short, long]


def test_a_batch_is_of_one_length(loop: asyncio.AbstractEventLoop) -> None:
    backlog = Backlog(1000)
    one = job(loop, ANNA, 200, 5, 200, 6, 7, 9)
    backlog.add(one)
    assert emptied(backlog) == [[(one, numbers)] for numbers in ([1, 3, 4], [5], [0], [2])]


def test_what_is_as_long_goes_along_whosever_it_is(loop: asyncio.AbstractEventLoop) -> None:
    backlog = Backlog(1000)
    anna, bens, cara, longer = (
        job(loop, ANNA, 9, 120),
        [job(loop, BEN, 10, 12, 30), job(loop, BEN, 11)],
        job(loop, CARA, 12),
        job(loop, CARA, 13),
    )
    for one in (anna, *bens, cara, longer):
        backlog.add(one)
    assert backlog.take() == [(anna, [0]), (bens[0], [0, 1]), (bens[1], [0]), (cara, [0])]
    assert backlog.waiting == 3
    # What is left keeps its turn: who went along is behind nobody for it.
    assert emptied(backlog) == [[(bens[0], [2])], [(longer, [0])], [(anna, [1])]]


def test_what_goes_along_fills_a_batch_and_no_more(loop: asyncio.AbstractEventLoop) -> None:
    backlog = Backlog(1000)
    backlog.add(job(loop, ANNA, 16))
    for _ in range(5):
        backlog.add(job(loop, BEN, 16))
    batches = [backlog.take(), backlog.take()]
    assert [len(batch) for batch in batches if batch] == [SHARED_TOKENS // 16, 2]


def test_a_request_may_fill_what_several_may_not(loop: asyncio.AbstractEventLoop) -> None:
    backlog = Backlog(1000)
    backlog.add(job(loop, ANNA, *[16] * 9))
    backlog.add(job(loop, BEN, 16))
    found = [[len(part.numbers) for part in batch] for batch in emptied(backlog) if batch]
    assert found == [[BATCH_TOKENS // 16], [1, 1]]


@given(st.lists(st.integers(0, 254), min_size=1, max_size=60))
def test_a_batch_is_never_empty_and_never_too_much(lengths: list[int]) -> None:
    long = sorted(map(padded, lengths))
    count = first_batch(long)
    assert 1 <= count <= BATCH_WINDOWS
    assert set(long[:count]) == {long[0]}
    assert count == 1 or count * long[0] <= BATCH_TOKENS
    more = long[: count + 1]
    assert len(more) <= count or more[-1] != long[0] or count == BATCH_WINDOWS or sum(more) > BATCH_TOKENS


@given(st.integers(0, 256))
def test_a_window_is_padded_to_the_next_step(tokens: int) -> None:
    assert 0 <= padded(tokens) - tokens < STEP and padded(tokens) % STEP == 0


def test_an_account_has_half_and_all_have_the_whole(loop: asyncio.AbstractEventLoop) -> None:
    backlog = Backlog(8)
    backlog.add(job(loop, ANNA, *[9] * 4))
    assert refused(backlog, job(loop, ANNA, 9)) == "rate_limited"
    assert backlog.half_full
    backlog.add(job(loop, BEN, *[30] * 4))
    assert refused(backlog, job(loop, CARA, 9)) == "embeddings_busy"
    backlog.take()
    backlog.add(job(loop, CARA, 9))
    assert backlog.waiting == 5


def test_what_alone_is_more_than_there_is_room_for_is_let_in_when_nothing_waits(
    loop: asyncio.AbstractEventLoop,
) -> None:
    backlog = Backlog(2)
    backlog.add(job(loop, ANNA, 9, 9, 9))
    assert refused(backlog, job(loop, BEN, 9)) == "embeddings_busy"


def test_what_nobody_waits_for_makes_room(loop: asyncio.AbstractEventLoop) -> None:
    backlog = Backlog(8)
    first, second = job(loop, ANNA, 9, 9), job(loop, ANNA, 9)
    backlog.add(first)
    backlog.add(second)
    backlog.drop(first)
    backlog.drop(first)
    assert backlog.waiting == 1
    batch = backlog.take()
    assert batch == [(second, [0])]
    backlog.drop(second)
    assert backlog.close() == [] and backlog.take() is None


def test_when_it_ends_nobody_waits_any_more(loop: asyncio.AbstractEventLoop) -> None:
    backlog = Backlog(8)
    one = job(loop, ANNA, 9)
    backlog.add(one)
    assert backlog.close() == [one]
    assert backlog.take() is None
    assert refused(backlog, one) == "unavailable"


def test_vectors_come_back_in_the_order_of_the_texts(loop: asyncio.AbstractEventLoop) -> None:
    one = job(loop, ANNA, 7, 2, 5)
    one.take_in([1], [array("f", [1])])
    assert not one.vectors.done()
    one.take_in([2, 0], [array("f", [2]), array("f", [0])])
    assert [vector[0] for vector in one.vectors.result()] == [0, 1, 2]
