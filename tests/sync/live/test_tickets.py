"""Tickets: spent once, short-lived, bound to their token, known to the server by their hashes alone."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import Any

from echolia.core.ids import b64, unb64
from echolia.storage.engine import Statement
from echolia.sync.live.tickets import Tickets
from tests.support.accounts import Account, Keys
from tests.support.asgi import Answer, Asker
from tests.support.engine_fixtures import engine
from tests.support.engines import ENGINE, opened_directory
from tests.support.server import Clock, served

__all__ = ["engine"]  # each test runs on both engines

PHONE = Keys("anna's phone")


async def ticket(ask: Asker, token: str | None = None) -> str:
    """A fresh ticket."""
    text: str = (await ask("POST", "/sync/live/ticket", token=token)).json()["ticket"]
    return text


async def refused(ask: Asker, text: str) -> Answer:
    """What a ticket that opens nothing is answered."""
    return await ask("GET", f"/sync/live?ticket={text}", token="")


async def test_it_is_given_to_members_with_its_life(ask: Asker, anna: Account, clock: Clock) -> None:
    answer = await ask("POST", "/sync/live/ticket")
    assert (answer.status, answer.json()["expires_in"]) == (200, 30)
    assert len(unb64(answer.json()["ticket"])) == 32
    clock.pass_s(880)  # of the token's 900
    assert (await ask("POST", "/sync/live/ticket")).json()["expires_in"] == 20


async def test_a_ticket_is_spent_by_its_first_use(ask: Asker, anna: Account) -> None:
    text = await ticket(ask)
    async with ask.stream(f"/sync/live?ticket={text}", token="") as stream:
        await stream.until(b"event: head")
        answer = await refused(ask, text)
        assert (answer.status, answer.code) == (401, "ticket_invalid")


async def test_of_two_at_once_one_is_let_in(ask: Asker, anna: Account) -> None:
    text = await ticket(ask)
    target = f"/sync/live?after=bad&ticket={text}"  # refused after the ticket, so that both are answered
    found = await asyncio.gather(*(ask("GET", target, token="") for _ in range(5)))
    assert sorted(answer.code for answer in found) == ["invalid_request"] + ["ticket_invalid"] * 4


async def test_it_ends_after_half_a_minute(ask: Asker, anna: Account, clock: Clock) -> None:
    early, late = await ticket(ask), await ticket(ask)
    clock.pass_s(29)
    async with ask.stream(f"/sync/live?ticket={early}", token="") as stream:
        await stream.until(b"event: head")
    clock.pass_s(1)
    assert (await refused(ask, late)).code == "ticket_invalid"


async def test_it_does_not_outlive_its_token(ask: Asker, anna: Account, clock: Clock) -> None:
    clock.pass_s(880)
    text = await ticket(ask)
    clock.pass_s(20)
    assert (await refused(ask, text)).code == "token_expired"


async def test_a_ticket_s_stream_ends_with_its_device(ask: Asker, anna: Account) -> None:
    assert (await anna.pair(ask, ask.token, PHONE)).status == 204
    phone = (await anna.sign_in(ask, PHONE)).json()["access"]
    spent, kept = await ticket(ask, phone), await ticket(ask, phone)
    async with ask.stream(f"/sync/live?ticket={spent}", token="") as stream:
        await stream.until(b"event: head")
        assert (await anna.revoke(ask, ask.token, PHONE)).status == 204
        await stream.end()
    assert (await refused(ask, kept)).code == "device_revoked"


async def test_a_ticket_of_a_deleted_account(ask: Asker, anna: Account) -> None:
    text = await ticket(ask)
    assert (await anna.delete(ask, ask.token)).status == 204
    assert (await refused(ask, text)).code == "ticket_invalid"


async def test_what_is_no_ticket(ask: Asker, anna: Account) -> None:
    for text in ("", "x", b64(bytes(31)), b64(bytes(33)), "!" * 43, "é" * 43, b64(bytes(32))):
        answer = await refused(ask, text)
        assert (answer.status, answer.code) == (401, "ticket_invalid")
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_only_its_hash_is_kept_and_that_not_for_long(tmp_path: Path, clock: Clock) -> None:
    data, account = tmp_path / "data", Account()
    async with served(data, clock) as ask:
        ask.token = (await account.register(ask))["access"]
        text = await ticket(ask)
        kept = b"".join(path.read_bytes() for path in data.rglob("directory.db*")) + ENGINE.kept(data)
        assert sha256(b"echolia/1/ticket" + unb64(text)).digest() in kept
        assert unb64(text) not in kept
        assert text.encode() not in kept


async def test_those_that_nobody_used_are_swept(tmp_path: Path, clock: Clock) -> None:
    data, account = tmp_path / "data", Account()
    async with served(data, clock) as ask:
        ask.token = (await account.register(ask))["access"]
        await ticket(ask)
        clock.pass_s(15)
        await ticket(ask)
    nobody: Any = None  # is admitted
    async with opened_directory(data) as db:
        [found] = await db.batch([Statement("SELECT expires_ms FROM live_tickets ORDER BY expires_ms")])
        first, second = (int(str(expires_ms)) for (expires_ms,) in found.rows)
        for now_ms, left in ((first - 1, 2), (first, 1), (second, 0)):
            clock.now_s = now_ms / 1000
            await Tickets(db, nobody, lambda: round(clock.now_s * 1000)).sweep()
            [found] = await db.batch([Statement("SELECT count(*) FROM live_tickets")])
            assert found.rows == [(left,)]
