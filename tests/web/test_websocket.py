"""The listening WebSocket on real sockets: handshake, pings, what it refuses, how it ends."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import aiohttp
import pytest
from starlette.types import Receive, Scope, Send

from echolia.web import frames
from echolia.web.websocket import MOST_FRAMES
from tests.support.loopback import on_loopback
from tests.support.websocket import CLOSE, KEY, PING, PONG, TEXT, connected, masked


class Told:
    """An application that accepts, says "hello", and notes how the connection ended."""

    def __init__(self) -> None:
        self.scope: Scope = {}
        self.left = asyncio.Event()
        self.code = 0
        self.close_with: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        self.scope = scope
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept", "subprotocol": None, "headers": [(b"x-own", b"1")]})
        await send({"type": "websocket.send", "text": "hello"})
        closing = asyncio.create_task(self._close(send))
        message = await receive()
        assert message["type"] == "websocket.disconnect"
        self.code = message["code"]
        closing.cancel()
        await send({"type": "websocket.send", "text": "to nobody"})
        self.left.set()

    async def _close(self, send: Send) -> None:
        code, reason = await self.close_with
        await send({"type": "websocket.close", "code": code, "reason": reason})


@pytest.fixture
async def told() -> Told:
    """What the application is told."""
    return Told()


async def left(told: Told) -> int:
    """The code with which the connection ended for the application."""
    await asyncio.wait_for(told.left.wait(), 20)
    return told.code


async def test_a_real_client_is_greeted_and_leaves(told: Told) -> None:
    async with on_loopback(told) as port, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"http://127.0.0.1:{port}/x%20y?a=b") as client:
            assert await client.receive_str() == "hello"
            assert client.compress == 0
        assert client.close_code == 1000
        await left(told)
    assert (told.scope["path"], told.scope["query_string"]) == ("/x y", b"a=b")
    assert told.scope["client"][0] == "127.0.0.1"


async def test_the_handshake_names_what_was_agreed(told: Told) -> None:
    async with on_loopback(told) as port, connected(port, X_Asked="2") as peer:
        assert peer.status == 101
        assert peer.headers["sec-websocket-accept"] == frames.accept_key(KEY.encode()).decode()
        assert peer.headers["x-own"] == "1"
        assert not {"sec-websocket-extensions", "sec-websocket-protocol"} & peer.headers.keys()
        assert (b"x-asked", b"2") in told.scope["headers"]
        assert await peer.frame() == (TEXT, b"hello")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Sec_WebSocket_Key": ""}, 400),
        ({"Sec_WebSocket_Key": "short"}, 400),
        ({"Sec_WebSocket_Version": ""}, 426),
        ({"Sec_WebSocket_Version": "8"}, 426),
    ],
)
async def test_a_handshake_that_is_none(told: Told, changed: dict[str, str], status: int) -> None:
    async with on_loopback(told) as port, connected(port, **changed) as peer:
        assert (peer.status, peer.body) == (status, b"")
        assert peer.headers.get("sec-websocket-version") == ("13" if status == 426 else None)
    assert told.scope == {}


async def test_pings_are_answered_and_pongs_taken(told: Told) -> None:
    async with on_loopback(told) as port, connected(port) as peer:
        assert await peer.frame() == (TEXT, b"hello")
        peer.send(masked(PONG, b"unasked") + masked(PING, b"are you there?"))
        assert await peer.frame() == (PONG, b"are you there?")
        peer.send(masked(CLOSE, b"\x03\xe8bye"))
        assert await peer.frame() == (CLOSE, b"\x03\xe8")
        assert await peer.frame() == (0, b"")
        await left(told)


@pytest.mark.parametrize(
    ("data", "code"), [(masked(TEXT, b"x"), 1008), (masked(2), 1008), (b"\x89\x00", 1002), (masked(3), 1002)]
)
async def test_a_message_ends_it(told: Told, data: bytes, code: int) -> None:
    async with on_loopback(told) as port, connected(port) as peer:
        assert await peer.frame() == (TEXT, b"hello")
        peer.send(data)
        assert (await peer.frame()).close_code == code
        assert await left(told) == code


async def test_a_flood_of_pings_ends_it(told: Told) -> None:
    async with on_loopback(told) as port, connected(port) as peer:
        assert await peer.frame() == (TEXT, b"hello")
        peer.send(masked(PING, b"x" * 125) * 5000)
        answers = [await peer.frame() for _ in range(MOST_FRAMES + 1)]
    assert [frame.opcode for frame in answers] == [PONG] * MOST_FRAMES + [CLOSE]
    assert answers[-1].close_code == 1008


async def test_a_peer_that_answers_pings_stays(told: Told) -> None:
    async with on_loopback(told, ws_ping_interval=0.2) as port, connected(port) as peer:
        assert await peer.frame() == (TEXT, b"hello")
        for _ in range(3):
            assert await peer.frame() == (PING, b"")
            peer.send(masked(PONG))
        assert not told.left.is_set()


async def test_a_peer_that_is_dead_is_dropped(told: Told) -> None:
    async with on_loopback(told, ws_ping_interval=0.02) as port, connected(port) as peer:
        assert await peer.frame() == (TEXT, b"hello")
        assert [(await peer.frame()).opcode for _ in range(2)] == [PING, 0]
        assert await left(told) == 1006


async def test_the_application_says_why_it_ends(told: Told) -> None:
    async with on_loopback(told) as port, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"http://127.0.0.1:{port}/") as client:
            assert await client.receive_str() == "hello"
            told.close_with.set_result((4001, "token_expired"))
            message = await client.receive()
            assert (message.type, message.data, message.extra) == (
                aiohttp.WSMsgType.CLOSE,
                4001,
                "token_expired",
            )
        await left(told)


async def test_it_ends_with_the_server(told: Told) -> None:
    async with AsyncExitStack() as server:
        port = await server.enter_async_context(on_loopback(told))
        async with connected(port) as peer:
            assert await peer.frame() == (TEXT, b"hello")
            stopping = asyncio.create_task(server.aclose())
            assert (await peer.frame()).close_code == 1001
            peer.send(masked(CLOSE, b"\x03\xe9"))
            assert await peer.frame() == (0, b"")
            await stopping
    assert await left(told) == 1001


@pytest.mark.parametrize("body", [b"", b"refused"])
async def test_a_refusal_is_an_answer_of_http(body: bytes) -> None:
    async def refusing(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})

    async with on_loopback(refusing) as port, connected(port) as peer:
        assert (peer.status, peer.body) == (401, body)
        assert peer.headers["connection"] == "close"


async def test_an_application_that_only_returns_ends_the_connection() -> None:
    async def silent(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()

    async with on_loopback(silent) as port:
        with pytest.raises(asyncio.IncompleteReadError):
            async with connected(port):
                pass


async def test_frames_before_the_answer_end_it() -> None:
    waiting = asyncio.Event()

    async def slow(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()
        waiting.set()
        await receive()

    async with on_loopback(slow) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode())
        await asyncio.wait_for(waiting.wait(), 20)
        writer.write(masked(PING))
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        await writer.wait_closed()
