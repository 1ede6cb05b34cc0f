"""Each refusal of the sealed door, by requests to the whole server; none says a word of what was sent."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from echolia.app import Place, running
from echolia.core.ids import b64
from echolia.sealed.asks import account_hash
from echolia.sealed.documents import SealingKey
from echolia.sealed.frames import framed_request, unframed_final
from echolia.sealed.key_ring import KeyRing, new_chain
from echolia.sealed.requests import seal
from echolia.sealed.responses import ResponseOpener
from echolia.web.replays import Seen
from echolia.web.sealed_door import BODY_BYTES, Sealing
from tests.support.accounts import Account
from tests.support.asgi import Answer, Asker
from tests.support.sealed_client import TYPE, SealedClient
from tests.support.server import Clock, settings_for

STREAM, GENERATE = "/llm/stream", "/llm/generate"
CANARY = "kanarienvogel"
ASK = {"model": "echo", "messages": [{"role": "user", "content": CANARY}]}
PROBLEM = {"type", "title", "status", "code", "detail", "request_id"}


@pytest.fixture
def client(ask: Asker, anna: Account, clock: Clock) -> SealedClient:
    return SealedClient(ask, anna.id, int(clock() * 1000))


def said(client: SealedClient, **other: Any) -> dict[str, Any]:
    """What an honest device seals; `other` replaces members."""
    usual = {
        "iat_ms": client.now_ms,
        "path": STREAM,
        "account": b64(account_hash(client.account)),
        "ask": ASK,
    }
    return usual | other


async def sealed(client: SealedClient, plain: bytes | None = None) -> bytes:
    """A body with this plaintext, or an honest one."""
    key = (await client.keys()).keys[0]
    return sealed_to(key, framed_request(said(client)) if plain is None else plain)[0]


def sealed_to(key: SealingKey, plain: bytes) -> tuple[bytes, ResponseOpener]:
    return seal(key.id, key.public, plain, os.urandom(32))


async def post(ask: Asker, body: bytes, path: str = STREAM, **headers: str) -> Answer:
    return await ask("POST", path, body=body, headers={"content-type": TYPE, **headers})


def refused(answer: Answer, code: str, status: int) -> None:
    """It says this code, with this status, and nothing that was sent."""
    assert (answer.code, answer.status) == (code, status)
    assert set(answer.json()) <= PROBLEM
    shown = (answer.body + repr(answer.headers).encode()).lower()
    for form in (CANARY.encode(), CANARY.encode().hex().encode(), b64(CANARY.encode()).encode().lower()):
        assert form not in shown


async def test_an_honest_request_is_answered(client: SealedClient, ask: Asker) -> None:
    answer = await post(ask, await sealed(client))
    assert (answer.status, answer.headers["content-type"]) == (200, TYPE)


async def test_a_body_of_more_than_256_kib_is_too_large(client: SealedClient, ask: Asker) -> None:
    body = await sealed(client)
    refused(await post(ask, body.ljust(BODY_BYTES + 1, b"\0")), "body_too_large", 413)
    refused(await post(ask, body.ljust(BODY_BYTES, b"\0")), "sealed_invalid", 400)


async def test_what_is_not_sealed_is_invalid(client: SealedClient, ask: Asker) -> None:
    body = await sealed(client)
    for wrong in (
        b"", CANARY.encode(), f'{{"ask": "{CANARY}"}}'.encode(), body[:38], body[:-1], body + b"\0",
        body[:-1] + bytes([body[-1] ^ 1]), body[:7] + bytes(32) + body[39:],
    ):  # fmt: skip
        refused(await post(ask, wrong), "sealed_invalid", 400)


async def test_what_is_not_framed_as_it_should_be_is_invalid(client: SealedClient, ask: Asker) -> None:
    whole = framed_request(said(client))
    without = said(client)
    del without["ask"]
    for plain in (
        b"", whole[:-1], whole + b"\0", whole[:-1] + b"\1", whole.ljust(2048, b"\0"),
        framed_request(without), framed_request(said(client, more=CANARY)),
        framed_request(said(client, iat_ms=str(client.now_ms))),
        framed_request(said(client)).replace(b'"echo"', b'1e9999'),
        framed_request({CANARY: CANARY}),
    ):  # fmt: skip
        refused(await post(ask, await sealed(client, plain)), "sealed_invalid", 400)


async def test_another_type_is_not_taken(client: SealedClient, ask: Asker) -> None:
    for other in ("application/json", "", "application/octet-stream", f"text/{CANARY}"):
        answer = await post(ask, await sealed(client), **{"content-type": other})
        refused(answer, "unsupported_media_type", 415)


async def test_another_suite_is_not_taken(client: SealedClient, ask: Asker) -> None:
    body = await sealed(client)
    for at in range(1, 7):
        refused(
            await post(ask, body[:at] + bytes([body[at] ^ 3]) + body[at + 1 :]), "unsupported_version", 400
        )


async def test_a_key_that_there_is_not_is_unknown(client: SealedClient, ask: Asker) -> None:
    body = await sealed(client)
    refused(await post(ask, bytes([body[0] ^ 1]) + body[1:]), "sealed_key_unknown", 422)


async def test_a_key_is_unknown_once_it_is_forgotten(
    client: SealedClient, ask: Asker, anna: Account, clock: Clock
) -> None:
    (key,) = (await client.keys()).keys
    clock.now_s = key.until_ms / 1000 + 3599
    client.now_ms = int(clock() * 1000)
    ask.token = (await anna.sign_in(ask)).json()["access"]
    fresh = framed_request(said(client))
    assert (await post(ask, sealed_to(key, fresh)[0])).status == 200
    clock.pass_s(1)
    refused(await post(ask, sealed_to(key, fresh)[0]), "sealed_key_unknown", 422)
    assert (await post(ask, await sealed(client))).status == 200


async def test_a_request_is_for_one_path(client: SealedClient, ask: Asker) -> None:
    refused(await post(ask, await sealed(client), GENERATE), "sealed_elsewhere", 400)
    named = framed_request(said(client, path=CANARY))
    refused(await post(ask, await sealed(client, named)), "sealed_elsewhere", 400)


async def test_a_request_is_of_one_account(client: SealedClient, ask: Asker) -> None:
    body, token = await sealed(client), ask.token
    theirs = (await Account("boris").register(ask))["access"]
    answer = await ask("POST", STREAM, body=body, headers={"content-type": TYPE}, token=theirs)
    refused(answer, "sealed_elsewhere", 400)
    answer = await ask("POST", STREAM, body=body, headers={"content-type": TYPE}, token=token)
    assert answer.status == 200, "who had no right to it did not use it up"


async def test_a_request_is_of_its_time(client: SealedClient, ask: Asker) -> None:
    for off_ms, fresh in ((-120_001, False), (-120_000, True), (120_000, True), (120_001, False)):
        plain = framed_request(said(client, iat_ms=client.now_ms + off_ms))
        answer = await post(ask, await sealed(client, plain))
        if fresh:
            assert answer.status == 200
        else:
            refused(answer, "sealed_stale", 400)


async def test_a_request_is_taken_once(client: SealedClient, ask: Asker, clock: Clock) -> None:
    body = await sealed(client)
    assert (await post(ask, body)).status == 200
    for seconds in (0, 60, 60):
        clock.pass_s(seconds)
        refused(await post(ask, body), "sealed_replayed", 409)
    clock.pass_s(1)
    refused(await post(ask, body), "sealed_stale", 400)
    assert (await ask("GET", "/llm/usage?days=1")).json()["usage"][0]["requests"] == 1


async def test_what_was_refused_may_be_sent_as_it_should_have_been(client: SealedClient, ask: Asker) -> None:
    body = await sealed(client)
    refused(await post(ask, body, GENERATE), "sealed_elsewhere", 400)
    assert (await post(ask, body)).status == 200


async def test_nobody_asks_without_a_token(client: SealedClient, ask: Asker) -> None:
    body = await sealed(client)
    for path in (STREAM, GENERATE):
        answer = await ask("POST", path, body=body, headers={"content-type": TYPE}, token="")
        assert answer.status == 401
        assert CANARY.encode() not in answer.body
    for path in ("/llm/keys", "/llm/models", "/llm/quota", "/llm/usage"):
        assert (await ask("GET", path, token="")).status == 401
    assert (await post(ask, body)).status == 200


async def test_who_gets_through_is_answered_under_the_seal(client: SealedClient, ask: Asker) -> None:
    key = (await client.keys()).keys[0]
    for wrong, code, status in (
        ({**ASK, "model": CANARY}, "model_unknown", 404),
        ({**ASK, CANARY: 1}, "ask_invalid", 400),
        ({**ASK, "messages": []}, "ask_invalid", 400),
        ([CANARY], "ask_invalid", 400),
        (None, "ask_invalid", 400),
    ):
        body, opener = sealed_to(key, framed_request(said(client, ask=wrong)))
        answer = await post(ask, body)
        assert (answer.status, answer.headers["content-type"]) == (200, TYPE)
        assert list(opener.feed(answer.body)) == []
        final = unframed_final(opener.end())
        assert (final["code"], final["status"]) == (code, status)
        assert CANARY not in repr(final)


@pytest.fixture
async def forgetful(tmp_path: Path, clock: Clock) -> AsyncIterator[Asker]:
    """A server that has no room to remember a request."""
    clock_ms: Callable[[], int] = lambda: int(clock() * 1000)  # noqa: E731
    sealing = Sealing(KeyRing(new_chain(bytes(32), clock_ms()), clock_ms), Seen(clock_ms, most=0))
    async with running(settings_for(tmp_path / "forgetful"), clock, place=Place(sealing=sealing)) as gate:
        yield Asker(gate)


async def test_what_cannot_be_remembered_is_not_taken(forgetful: Asker, clock: Clock) -> None:
    account = Account("anna")
    forgetful.token = (await account.register(forgetful))["access"]
    client = SealedClient(forgetful, account.id, int(clock() * 1000))
    refused(await post(forgetful, await sealed(client)), "unavailable", 503)
    assert (await forgetful("GET", "/llm/usage?days=1")).json()["usage"] == []
