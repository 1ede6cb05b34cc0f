"""What every transport keeps: the suite runs on each entry of `WAYS`, all leading to a real server.

A further adapter is one more line there. A hostile transport whose operator is honest is one like any other.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from echolia.client.http_transport import HttpTransport
from echolia.client.transport import Request, Transport
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.core.push import PAGE_TYPE
from echolia.hostile import HostileTransport, Operator
from tests.support.accounts import Account
from tests.support.devices import InProcess
from tests.support.process import ServerProcess
from tests.support.server import Clock, served

# A transport to a server that takes two refreshes a minute, and one to nobody.
Ways = tuple[Transport, Transport]


@asynccontextmanager
async def in_process(folder: Path) -> AsyncIterator[Ways]:
    """Straight to the application."""
    async with served(folder / "data", Clock(), refresh_per_minute=2) as ask:
        yield InProcess(ask), InProcess(ask, down=True)


@asynccontextmanager
async def over_http(folder: Path) -> AsyncIterator[Ways]:
    """Over a loopback connection."""
    server = ServerProcess(folder / "data", refresh_per_minute="2")
    await asyncio.to_thread(server.start)
    try:
        yield HttpTransport(server.url), HttpTransport("http://127.0.0.1:1")
    finally:
        await asyncio.to_thread(server.kill)


Way = Callable[[Path], AbstractAsyncContextManager[Ways]]


def by_an_operator(way: Way) -> Way:
    """The same by way of an operator who is honest."""

    @asynccontextmanager
    async def hostile(folder: Path) -> AsyncIterator[Ways]:
        async with way(folder) as (there, nowhere):
            yield HostileTransport(there, Operator()), HostileTransport(nowhere, Operator())

    return hostile


WAYS: Final[dict[str, Way]] = {
    "in-process": in_process,
    "http": over_http,
    "hostile": by_an_operator(in_process),
    "hostile-http": by_an_operator(over_http),
}


def posted(path: str, fields: object) -> Request:
    """A request with JSON."""
    return Request("POST", path, json.dumps(fields).encode())


async def signed_in(transport: Transport) -> str:
    """The authorization of a new account's first device."""
    answer = await transport.ask(posted("/auth/register", Account("anna").registration()))
    assert answer.status == 201
    return f"Bearer {json.loads(answer.body)['tokens']['access']}"


class TransportContract:
    """Every transport gives whole answers as they are, and says when there are none."""

    async def test_an_answer_comes_whole(self, there: Transport) -> None:
        answer = await there.ask(posted("/auth/challenge", {"device": b64(bytes(16))}))
        assert answer.status == 200 and len(json.loads(answer.body)["challenge"]) == 43

    async def test_a_refusal_is_an_answer(self, there: Transport) -> None:
        answer = await there.ask(Request("GET", "/sync/status"))
        assert (answer.status, json.loads(answer.body)["code"]) == (401, "unauthorized")

    async def test_it_speaks_for_whom_it_is_told(self, there: Transport) -> None:
        authorization = await signed_in(there)
        answer = await there.ask(Request("GET", "/sync/status", authorization=authorization))
        assert (answer.status, json.loads(answer.body)["head"]["seq"]) == (200, 0)

    async def test_it_accepts_what_it_is_told(self, there: Transport) -> None:
        authorization = await signed_in(there)
        for accept, first in ((PAGE_TYPE, b"\1"), ("application/json", b"{")):
            asked = Request("POST", "/sync/pull", b"{}", accept=accept, authorization=authorization)
            answer = await there.ask(asked)
            assert (answer.status, answer.body[:1]) == (200, first)

    async def test_it_says_how_long_to_wait(self, there: Transport) -> None:
        answers = [await there.ask(posted("/auth/refresh", {"refresh": "none"})) for _ in range(3)]
        assert [answer.retry_after_s > 0 for answer in answers] == [False, False, True]

    async def test_lines_come_as_they_arrive(self, there: Transport) -> None:
        authorization = await signed_in(there)
        request = Request("GET", "/sync/live", accept="text/event-stream", authorization=authorization)
        lines = there.lines(request)
        async with asyncio.timeout(10):
            heard = [await anext(lines) for _ in range(3)]
        assert "event: head" in heard and not any(line.endswith("\n") for line in heard)
        assert isinstance(lines, AsyncGenerator)
        await lines.aclose()

    async def test_nobody_answers(self, nowhere: Transport) -> None:
        with pytest.raises(EcholiaError, match="server_unreachable"):
            await nowhere.ask(Request("GET", "/health"))

    async def test_it_can_be_closed_twice(self, there: Transport) -> None:
        await there.ask(Request("GET", "/health"))
        await there.close()
        await there.close()
