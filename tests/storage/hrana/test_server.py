"""Servers that answer too much, too late, half, or elsewhere: each is one storage error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from echolia.storage.engine import OutcomeUnknown, Statement, StorageError
from echolia.storage.hrana.database import HranaDatabase
from echolia.storage.hrana.server import MAX_ANSWER_BYTES, Server

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]
Open = Callable[[Answering], Awaitable[HranaDatabase]]


class Anything:
    """A token that nobody looks at."""

    async def token(self, renew: bool = False) -> str:
        return "token"


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Opens a database on a server that answers so."""
    async with AsyncExitStack() as stack:

        async def opened(answering: Answering) -> HranaDatabase:
            app = web.Application()
            app.router.add_post("/v3/pipeline", answering)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            server = Server(f"http://127.0.0.1:{runner.addresses[0][1]}", answer_s=0.3)
            stack.push_async_callback(server.close)
            return HranaDatabase(server, "u-1.db", Anything())

        yield opened


async def endless(request: web.Request) -> web.StreamResponse:
    """More than anybody asked for."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    for _ in range(2 + MAX_ANSWER_BYTES // (1 << 20)):
        await answer.write(bytes(1 << 20))
    return answer


async def late(request: web.Request) -> web.StreamResponse:
    """Nothing for a long time."""
    await asyncio.sleep(30)
    return web.Response()


async def half(request: web.Request) -> web.StreamResponse:
    """Less than it says."""
    answer = web.StreamResponse(headers={"Content-Length": "1000"})
    await answer.prepare(request)
    await answer.write(b'{"results":')
    assert request.transport is not None
    request.transport.close()
    return answer


async def nonsense(request: web.Request) -> web.StreamResponse:
    """No answer of Hrana's."""
    return web.json_response({"results": [{"type": "ok", "response": {"result": "kanariya"}}]})


@pytest.mark.parametrize(
    ("answering", "said"),
    [
        (endless, "ANSWER_TOO_BIG"),
        (late, "TIMEOUT"),
        (half, "CONNECTION_LOST"),
        (nonsense, "ANSWER_UNREADABLE"),
    ],
)
async def test_an_answer_that_is_none_leaves_the_outcome_unknown(
    opened: Open, answering: Answering, said: str
) -> None:
    db = await opened(answering)
    with pytest.raises(OutcomeUnknown) as caught:
        await db.batch([Statement("SELECT 1")])
    assert str(caught.value) == f"storage_uncertain: {said}"


async def test_a_redirect_is_not_followed_and_carries_no_token_along(opened: Open) -> None:
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": "/v3/pipeline"})

    db = await opened(elsewhere)
    with pytest.raises(StorageError, match="HTTP_307"):
        await db.batch([Statement("SELECT 1")])
    assert len(asked) == 1


async def test_what_was_refused_is_sent_again_where_it_did_not_run_and_nowhere_else(opened: Open) -> None:
    for status, times in ((401, 2), (404, 4), (400, 1), (403, 1), (429, 1), (500, 1), (503, 1)):
        asked = 0

        async def refusing(_: web.Request, status: int = status) -> web.StreamResponse:
            nonlocal asked
            asked += 1
            return web.Response(status=status, text="kanariya")

        db = await opened(refusing)
        with pytest.raises(StorageError) as caught:
            await db.batch([Statement("SELECT 1")])
        assert "kanariya" not in repr(caught.value)
        assert asked == times, status


async def test_one_round_trip_is_a_unit_of_work(opened: Open) -> None:
    asked = 0

    async def counting(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        steps = (await request.json())["requests"][0]["batch"]["steps"]
        nothing = {"rows": [], "affected_row_count": 0}
        result = {"step_results": [*[nothing] * (len(steps) - 1), None], "step_errors": [None] * len(steps)}
        return web.json_response({"results": [{"type": "ok", "response": {"result": result}}]})

    db = await opened(counting)
    await db.batch([Statement("SELECT 1")] * 20)
    assert asked == 1
