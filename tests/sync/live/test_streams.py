"""Live as it is asked for: resuming, tickets and refusals, as server-sent events and over WebSocket."""

from __future__ import annotations

from pathlib import Path

import pytest

from echolia.core.ids import b64
from echolia.core.push import PUSH_TYPE, write_push
from echolia.sync.live.listeners import MAX_LISTENERS
from tests.support.accounts import Account, Keys
from tests.support.asgi import Asker
from tests.support.asgi_socket import socket
from tests.support.runs import Writer
from tests.support.server import Clock, served

PHONE = Keys("anna's phone")


def bearer(token: str) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {token}"}


async def push(ask: Asker, account: Account) -> str:
    """Push one change more; the event id of the head after it."""
    writer = Writer(account.id)
    writer.secret, writer.public = bytes(account.first.signing), account.first.sign
    writer.device = account.first.id
    status = (await ask("GET", "/sync/status")).json()
    known = status["head"]["seq"]
    writer.write(known + 1)
    body = write_push([writer.run()])
    told = (await ask("POST", "/sync/push", body=body, headers={"content-type": PUSH_TYPE})).json()
    return f"{told['epoch']}.{told['head']['seq']}"


async def head(ask: Asker) -> str:
    """The head's event id."""
    status = (await ask("GET", "/sync/status")).json()
    return f"{status['epoch']}.{status['head']['seq']}"


async def ticket(ask: Asker, token: str = "") -> str:
    """A fresh ticket."""
    answer = await ask("POST", "/sync/live/ticket", token=token or None)
    assert answer.status == 200
    text: str = answer.json()["ticket"]
    return text


async def test_an_event_at_once_and_one_for_each_move(ask: Asker, anna: Account) -> None:
    async with ask.stream("/sync/live") as stream:
        await stream.until(f"event: head\nid: {await head(ask)}\ndata: ".encode())
        assert stream.answer.status == 200
        assert stream.answer.headers["content-type"] == "text/event-stream"
        assert stream.answer.headers["cache-control"] == "no-store"
        await stream.until(f"id: {await push(ask, anna)}\n".encode())


@pytest.mark.parametrize("way", ["header", "query", "header before query"])
async def test_a_known_head_is_followed_by_silence_until_it_moves(
    ask: Asker, anna: Account, way: str
) -> None:
    known = await push(ask, anna)
    target = "/sync/live" if way == "header" else f"/sync/live?after={known if way == 'query' else '1.1'}"
    named = {} if way == "query" else {"Last-Event-ID": known}
    async with ask.stream(target, headers=named) as stream:
        await stream.until(b": alive\n\n")
        moved = await push(ask, anna)
        await stream.until(f"id: {moved}\n".encode())
        assert stream.answer.body.count(b"event: head") == 1


@pytest.mark.parametrize("change", [(0, -1), (0, 1), (1, 0)])
async def test_any_other_head_is_told_at_once(ask: Asker, anna: Account, change: tuple[int, int]) -> None:
    known = await push(ask, anna)
    epoch, seq = (int(part) + by for part, by in zip(known.split("."), change, strict=True))
    async with ask.stream("/sync/live", headers={"Last-Event-ID": f"{epoch}.{seq}"}) as stream:
        await stream.until(f"id: {known}\n".encode())


@pytest.mark.parametrize(
    "named", ["x", "1", "1.", ".1", "1.2.3", "-1.2", "1.2 ", "١.٢", f"{2**53}.1", f"1.{2**53}"]
)
async def test_what_names_no_head_is_refused(ask: Asker, anna: Account, named: str) -> None:
    for target, headers in (("/sync/live", {"Last-Event-ID": named}), (f"/sync/live?after={named}", {})):
        answer = await ask("GET", target, headers=headers)
        assert answer.code == "invalid_request"


async def test_a_body_is_refused(ask: Asker, anna: Account) -> None:
    assert (await ask("GET", "/sync/live", body=b"x")).code == "body_too_large"
    chunked = {"transfer-encoding": "chunked", "content-length": "0"}
    assert (await ask("GET", "/sync/live", body=b"x", headers=chunked)).code == "body_too_large"


async def test_another_method_names_the_one(ask: Asker, anna: Account) -> None:
    answer = await ask("POST", "/sync/live")
    assert (answer.code, answer.headers["allow"]) == ("method_not_allowed", "GET")


async def test_over_websocket_each_event_is_a_message(ask: Asker, anna: Account) -> None:
    async with socket(ask.app, "/sync/live", **bearer(ask.token)) as stream:
        await stream.until(texts=1)
        moved = await push(ask, anna)
        await stream.until(texts=2)
        epoch, seq = moved.split(".")
        assert stream.texts[1] == f'{{"epoch": {epoch}, "seq": {seq}}}'
        assert stream.accepted["x-content-type-options"] == "nosniff"
        assert len(stream.accepted["x-request-id"]) == 16
    told = (await ask("GET", "/metrics")).body.decode()
    assert 'echolia_request_seconds_count{method="GET",route="/sync/live",status="1xx"} 1.0' in told


async def test_over_websocket_a_known_head_is_followed_by_silence(ask: Asker, anna: Account) -> None:
    known = await push(ask, anna)
    async with socket(ask.app, f"/sync/live?after={known}", **bearer(ask.token)) as stream:
        while not stream.accepted:
            await stream.news.wait()
        moved = await push(ask, anna)
        await stream.until(texts=1)
        assert [moved.split(".")[1] in text for text in stream.texts] == [True]


async def test_over_websocket_a_client_that_speaks_is_sent_away(ask: Asker, anna: Account) -> None:
    async with socket(ask.app, "/sync/live", **bearer(ask.token)) as stream:
        await stream.until(texts=1)
        stream.say("hello?")
        await stream.until(ended=True)
        assert stream.closed == (1008, "")


@pytest.mark.parametrize(
    ("target", "token", "status", "code"),
    [
        ("/sync/live", "", 401, "unauthorized"),
        ("/sync/live", "forged", 401, "unauthorized"),
        ("/sync/live?ticket=x", "", 401, "ticket_invalid"),
        ("/sync/live?after=x", "good", 400, "invalid_request"),
        ("/sync/status", "good", 404, "not_found"),
        ("/nowhere", "", 404, "not_found"),
    ],
)
async def test_a_refused_handshake_is_a_problem_document(
    ask: Asker, anna: Account, target: str, token: str, status: int, code: str
) -> None:
    named = bearer(ask.token if token == "good" else token) if token else {}
    async with socket(ask.app, target, **named) as stream:
        await stream.until(ended=True)
    assert (stream.answer.status, stream.answer.code) == (status, code)
    assert stream.answer.headers["content-type"] == "application/problem+json"
    assert stream.texts == []


async def test_a_server_program_that_cannot_answer_a_handshake_closes_it(ask: Asker) -> None:
    async with socket(ask.app, "/sync/live", extensions=()) as stream:
        await stream.until(ended=True)
    assert (stream.closed, stream.accepted, stream.answer.status) == ((1008, ""), {}, 0)


async def test_revoked_or_deleted_is_told_by_its_close_code(ask: Asker, anna: Account) -> None:
    assert (await anna.pair(ask, ask.token, PHONE)).status == 204
    phone = (await anna.sign_in(ask, PHONE)).json()["access"]
    async with (
        socket(ask.app, "/sync/live", **bearer(phone)) as theirs,
        socket(ask.app, "/sync/live", **bearer(ask.token)) as ours,
    ):
        await theirs.until(texts=1)
        await ours.until(texts=1)
        assert (await anna.revoke(ask, ask.token, PHONE)).status == 204
        await theirs.until(ended=True)
        assert theirs.closed == (4002, "device_revoked")
        assert (await anna.delete(ask, ask.token)).status == 204
        await ours.until(ended=True)
        assert ours.closed == (4003, "account_unknown")


async def test_both_ways_share_the_places_of_an_account(ask: Asker, anna: Account) -> None:
    async with (
        ask.stream("/sync/live") as first,
        socket(ask.app, "/sync/live", **bearer(ask.token)) as second,
    ):
        await first.until(b"event: head")
        await second.until(texts=1)
        found = [await ask("GET", "/sync/live?after=bad") for _ in range(MAX_LISTENERS)]
        assert {answer.code for answer in found} == {"invalid_request"}  # a refusal takes no place
        assert b"echolia_live_streams 2.0" in (await ask("GET", "/metrics")).body


async def test_a_ticket_opens_one_stream_by_either_way(ask: Asker, anna: Account) -> None:
    async with ask.stream(f"/sync/live?ticket={await ticket(ask)}", token="") as stream:
        await stream.until(b"event: head")
    async with socket(ask.app, f"/sync/live?ticket={await ticket(ask)}") as other:
        await other.until(texts=1)


async def test_a_token_wins_over_a_ticket_which_stays(ask: Asker, anna: Account) -> None:
    spare = await ticket(ask)
    async with ask.stream(f"/sync/live?ticket={spare}") as stream:
        await stream.until(b"event: head")
    refused = await ask("GET", f"/sync/live?ticket={spare}", token="forged")
    assert refused.code == "unauthorized"
    async with ask.stream(f"/sync/live?ticket={spare}", token="") as stream:
        await stream.until(b"event: head")


async def test_guessing_tickets_is_slowed_down_by_where_it_comes_from(tmp_path: Path) -> None:
    async with served(tmp_path / "data", Clock(), anonymous_per_minute=3) as ask:
        guesses = [await ask("GET", f"/sync/live?ticket={b64(bytes(32))}", token="") for _ in range(5)]
    assert [answer.code for answer in guesses] == ["ticket_invalid"] * 3 + ["rate_limited"] * 2
