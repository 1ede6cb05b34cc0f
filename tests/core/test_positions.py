"""The log's hash chain: it binds the account, the epoch, and everything about every run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echolia.core.positions import NOTHING_SEEN, LogPosition, log_after, log_start
from tests.vectors import reference
from tests.vectors.world import ACCOUNT, EPOCH, LAPTOP, OTHER_ACCOUNT, run, seed

LINK: dict[str, Any] = {
    "count": 3,
    "device": LAPTOP.id,
    "last": 9,
    "chain": seed("chain"),
    "received_ms": 1_700_000_000_000,
}


def test_the_log_of_nothing_depends_on_account_and_epoch() -> None:
    starts = {log_start(a, e).log for a in (ACCOUNT, OTHER_ACCOUNT) for e in (EPOCH, EPOCH + 1)}
    assert len(starts) == 4
    assert log_start(ACCOUNT, EPOCH)[:2] == (EPOCH, 0)
    assert LogPosition(0, 0, bytes(32)) == NOTHING_SEEN


@pytest.mark.parametrize(
    "other",
    [{"count": 4}, {"device": bytes(16)}, {"last": 10}, {"chain": seed("x")}, {"received_ms": 1}],
    ids=lambda other: next(iter(other)),
)
def test_a_link_binds_everything_of_its_run(other: dict[str, Any]) -> None:
    before = log_start(ACCOUNT, EPOCH)
    assert log_after(before, **LINK).log != log_after(before, **{**LINK, **other}).log


def test_a_link_binds_the_one_before_and_its_position() -> None:
    before = log_start(ACCOUNT, EPOCH)
    assert log_after(before, **LINK).log != log_after(before._replace(log=seed("x")), **LINK).log
    assert log_after(before, **LINK).log != log_after(before._replace(seq=1), **LINK).log


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(1, 2**53 - 1))
def test_positions_are_gapless_and_hash_as_the_specification_says(counts: list[int], epoch: int) -> None:
    at, expected, received_ms = log_start(ACCOUNT, epoch), reference.log_start(ACCOUNT, epoch), 0
    for count in counts:
        each = run(LAPTOP, *map(str, range(count)))
        received_ms += count
        expected = reference.log_link(expected, at.seq + 1, each, received_ms)
        at = log_after(at, count, each.name, each.last, each.chains[-1], received_ms)
        assert at.log == expected
    assert at[:2] == (epoch, sum(counts))
