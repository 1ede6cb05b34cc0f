"""Client networks are told apart and named by nobody; their limits are counted here, or with others."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
import structlog

from echolia.web.context import Refusal
from echolia.web.limits import Limits, WindowStorage
from echolia.web.networks import PAUSE_S, Networks, Origins
from echolia.web.shared_counts import WINDOW_S, Window
from tests.support.server import Clock


def scope(peer: str | None, forwarded: str | None = None) -> dict[str, Any]:
    """A request from there."""
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
    return {"client": (peer, 1) if peer else None, "headers": headers}


def origins(*trusted: str, clock: Clock | None = None) -> Origins:
    """Origins that believe these proxies."""
    return Origins([ip_network(network) for network in trusted], clock or Clock())


def test_a_network_is_a_24_or_a_64() -> None:
    of = origins().pseudonym
    assert of(scope("192.0.2.1")) == of(scope("192.0.2.250")) != of(scope("192.0.3.1"))
    assert of(scope("2001:db8::1")) == of(scope("2001:db8::ffff")) != of(scope("2001:db8:0:1::1"))
    assert of(scope("::ffff:192.0.2.9")) == of(scope("192.0.2.1"))
    assert of(scope(None)) == of(scope("no address"))


def test_a_pseudonym_holds_for_a_day_and_tells_nothing() -> None:
    clock = Clock()
    first, second = origins(clock=clock), origins(clock=clock)
    told = first.pseudonym(scope("192.0.2.1"))
    assert told != second.pseudonym(scope("192.0.2.1"))
    assert "192.0.2" not in told
    assert bytes((192, 0, 2)).hex() not in told
    clock.pass_s(86_400)
    assert told != first.pseudonym(scope("192.0.2.1"))


def test_forwarded_addresses_are_believed_from_trusted_proxies_alone() -> None:
    trusting, client = origins("10.0.0.0/8", "::1/128"), "203.0.113.5"
    real = trusting.pseudonym(scope(client))
    assert trusting.pseudonym(scope("10.1.2.3", client)) == real
    assert trusting.pseudonym(scope("::1", client)) == real
    assert trusting.pseudonym(scope("10.1.2.3", f"198.51.100.1, {client}")) == real
    assert trusting.pseudonym(scope("10.1.2.3", f"198.51.100.1, {client}, 10.9.9.9")) == real
    stranger = trusting.pseudonym(scope("192.0.2.1"))
    assert trusting.pseudonym(scope("192.0.2.1", client)) == stranger
    trusting_none = origins()
    assert trusting_none.pseudonym(scope("127.0.0.1", client)) == trusting_none.pseudonym(scope("127.0.0.1"))


@pytest.mark.parametrize("forwarded", ["", "junk", "203.0.113.5, junk", ","])
def test_what_is_no_address_is_the_proxy_s_own(forwarded: str) -> None:
    trusting = origins("10.0.0.0/8")
    assert trusting.pseudonym(scope("10.1.2.3", forwarded)) == trusting.pseudonym(scope("10.1.2.3"))


class Counts:
    """A `SharedCounts` in memory, which can be away."""

    def __init__(self, clock: Clock) -> None:
        self._windows = WindowStorage(clock)
        self._clock = clock
        self.away = False
        self.asked = 0

    async def count(self, name: str, who: str) -> Window | None:
        """See `SharedCounts.count`."""
        self.asked += 1
        if self.away:
            return None
        key = f"{name}/{who}"
        count = self._windows.incr(key, WINDOW_S)
        return Window(count, self._windows.get_expiry(key) - self._clock())

    async def close(self) -> None:
        """See `SharedCounts.close`."""


def sharing(clock: Clock, counts: Counts, most: int = 2) -> Networks:
    """What one of several processes with the same key of the day has."""
    limits = Limits({"name": most, "other": most}, clock)
    return Networks(Origins([], clock, lambda _: bytes(32)), limits, counts, monotonic=clock)


async def test_processes_count_together() -> None:
    clock = Clock()
    counts = Counts(clock)
    one, other = sharing(clock, counts), sharing(clock, counts)
    await one.charge("name", scope("192.0.2.1"))
    clock.pass_s(20)
    await other.charge("name", scope("192.0.2.2"))
    for networks in (one, other):
        with pytest.raises(Refusal) as caught:
            await networks.charge("name", scope("192.0.2.3"))
        assert (caught.value.code, caught.value.retry_after_s) == ("rate_limited", 40)
    await other.charge("name", scope("198.51.100.1"))
    await other.charge("other", scope("192.0.2.1"))
    clock.pass_s(60)
    await other.charge("name", scope("192.0.2.1"))


async def test_what_a_process_refuses_by_itself_is_not_asked_of_the_others() -> None:
    clock = Clock()
    counts = Counts(clock)
    networks = sharing(clock, counts)
    for _ in range(2):
        await networks.charge("name", scope("192.0.2.1"))
    for _ in range(100):
        with pytest.raises(Refusal):
            await networks.charge("name", scope("192.0.2.1"))
    assert counts.asked == 2


async def test_while_they_are_away_a_process_counts_for_itself_and_says_so_once() -> None:
    clock = Clock()
    counts = Counts(clock)
    one, other = sharing(clock, counts), sharing(clock, counts)
    await one.charge("name", scope("192.0.2.1"))
    counts.away = True
    with structlog.testing.capture_logs() as logs:
        await one.charge("name", scope("192.0.2.1"))
        with pytest.raises(Refusal):
            await one.charge("name", scope("192.0.2.1"))
        for network in range(9):
            await one.charge("name", scope(f"198.51.{network}.1"))
        clock.pass_s(PAUSE_S)
        await one.charge("name", scope("203.0.113.1"))
    assert [event["event"] for event in logs] == ["limits_away"]
    assert counts.asked == 3
    counts.away = False
    clock.pass_s(PAUSE_S)
    await one.charge("other", scope("203.0.113.1"))
    await other.charge("other", scope("203.0.113.1"))
    with pytest.raises(Refusal):
        await other.charge("other", scope("203.0.113.1"))
