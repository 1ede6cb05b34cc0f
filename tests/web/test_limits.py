"""Rate limits: so many a minute, by account or by client network."""

from __future__ import annotations

from pathlib import Path

import pytest

from echolia.core.ids import b64
from echolia.web.context import Refusal
from echolia.web.limits import Amounts, Limits, WindowStorage
from tests.support.accounts import Account
from tests.support.asgi import Asker
from tests.support.server import Clock, served


def test_a_window_is_a_minute_from_the_first_request() -> None:
    clock = Clock()
    limits = Limits({"name": 2}, clock)
    limits.charge("name", "one")
    clock.pass_s(20.5)
    limits.charge("name", "one")
    with pytest.raises(Refusal) as caught:
        limits.charge("name", "one")
    assert (caught.value.code, caught.value.retry_after_s) == ("rate_limited", 40)
    limits.charge("name", "another")
    clock.pass_s(39.5)
    limits.charge("name", "one")


def test_windows_that_ended_are_forgotten() -> None:
    clock = Clock()
    storage = WindowStorage(clock)
    for who in range(1000):
        storage.incr(str(who), 60)
    clock.pass_s(61)
    storage.incr("new", 60)
    assert (len(storage._windows), storage.get("5"), storage.get("new")) == (1, 0, 1)
    assert storage.reset() == 1


def test_amounts_are_summed_for_a_minute_each_for_its_own() -> None:
    clock = Clock()
    amounts = Amounts(clock)
    amounts.add("one", 700)
    clock.pass_s(20.5)
    amounts.add("one", 300)
    assert (amounts.used("one"), amounts.used("another"), amounts.ends_in_s("one")) == (1000, 0, 40)
    clock.pass_s(39.5)
    assert (amounts.used("one"), amounts.ends_in_s("one")) == (0, 1)
    amounts.add("one", 5)
    assert (amounts.used("one"), amounts.ends_in_s("one")) == (5, 60)


def test_a_clock_that_was_set_back_keeps_nobody_out() -> None:
    clock = Clock()
    limits, amounts, storage = Limits({"name": 1}, clock), Amounts(clock), WindowStorage(clock)
    limits.charge("name", "one")
    amounts.add("one", 700)
    storage.incr("one", 60)
    clock.pass_s(-4 * 3600)
    assert (amounts.used("one"), amounts.ends_in_s("one")) == (0, 1)
    amounts.add("one", 5)
    limits.charge("name", "one")
    with pytest.raises(Refusal) as caught:
        limits.charge("name", "one")
    assert (amounts.used("one"), amounts.ends_in_s("one"), caught.value.retry_after_s) == (5, 60, 60)
    storage.incr("another", 60)
    assert (len(storage._windows), storage.get("one")) == (1, 0), "it is swept by the new clock"


BODIES = {
    "register": ("POST", "/auth/register"),
    "challenge": ("POST", "/auth/challenge"),
    "token": ("POST", "/auth/token"),
    "refresh": ("POST", "/auth/refresh"),
    "anonymous": ("GET", "/nowhere"),
}


@pytest.mark.parametrize("name", BODIES)
async def test_each_open_route_is_limited_by_network(tmp_path: Path, name: str) -> None:
    clock = Clock()
    method, path = BODIES[name]
    async with served(tmp_path / "data", clock, **{f"{name}_per_minute": 3}) as ask:
        for _ in range(3):
            assert (await ask(method, path, {})).status in (400, 404, 405)
        clock.pass_s(30)
        answer = await ask(method, path, {})
        assert (answer.status, answer.code) == (429, "rate_limited")
        assert answer.headers["retry-after"] == "30"
        elsewhere = Asker(ask.app, peer="198.51.100.7")
        assert (await elsewhere(method, path, {})).status in (400, 404, 405)
        clock.pass_s(30)
        assert (await ask(method, path, {})).status in (400, 404, 405)


@pytest.mark.parametrize(
    ("name", "method", "path"),
    [("account", "GET", "/auth/devices"), ("push", "POST", "/sync/push"), ("pull", "POST", "/sync/pull")],
)
async def test_members_are_limited_by_account(tmp_path: Path, name: str, method: str, path: str) -> None:
    async with served(tmp_path / "data", Clock(), **{f"{name}_per_minute": 2}) as ask:
        anna, ben = [(await Account(seed).register(ask))["access"] for seed in ("anna", "ben")]
        for _ in range(2):
            assert (await ask(method, path, {}, token=anna)).status < 429
        refused = await ask(method, path, {}, token=anna)
        assert (refused.status, refused.headers["retry-after"]) == (429, "60")
        assert (await ask(method, path, {}, token=ben)).status < 429


async def test_guests_of_a_mailbox_are_limited_by_network(tmp_path: Path) -> None:
    async with served(tmp_path / "data", Clock(), mailbox_per_minute=2) as ask:
        target = f"/auth/pair-device/{b64(bytes(16))}/messages?side=guest&n=0"
        guest = {"authorization": f"Mailbox {b64(bytes(32))}"}
        codes = [(await ask("GET", target, headers=guest)).code for _ in range(3)]
        assert codes == ["mailbox_unknown", "mailbox_unknown", "rate_limited"]


async def test_a_spoofed_address_does_not_help(tmp_path: Path) -> None:
    async with served(tmp_path / "data", Clock(), anonymous_per_minute=2) as ask:
        answers = [
            await ask("GET", "/nowhere", headers={"x-forwarded-for": f"203.0.{number}.1"})
            for number in range(3)
        ]
        assert [answer.status for answer in answers] == [404, 404, 429]


async def test_whoever_watches_the_server_is_not_limited(tmp_path: Path) -> None:
    async with served(tmp_path / "data", Clock(), anonymous_per_minute=1) as ask:
        for path in ("/", "/health", "/healthz", "/readyz", "/metrics") * 2:
            assert (await ask("GET", path)).status == 200
