"""Whatever arrives instead of an answer is `server_unreachable` or `server_invalid`, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from echolia.client import EcholiaError
from echolia.client.http_transport import HttpTransport
from echolia.client.transport import Request

OK = b"HTTP/1.1 200 OK\r\n"
GIANT = OK + b"Content-Length: 99999999999\r\n\r\n" + bytes(18 << 20)
BROKEN = {
    "nothing": b"",
    "no HTTP": bytes(64),
    "a status out of range": b"HTTP/1.1 99999 OK\r\nContent-Length: 0\r\n\r\n",
    "half a body": OK + b"Content-Length: 9\r\n\r\n{",
    "a chunk without a length": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    "a header without end": OK + b"X: " + b"x" * 200_000,
    "headers without end": OK + b"".join(b"X%d: 1\r\n" % n for n in range(20_000)),
}


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[HttpTransport]:
    """A transport to a server that answers everything with these bytes and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    transport = HttpTransport(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield transport
    finally:
        await transport.close()
        server.close()
        await server.wait_closed()


async def followed(transport: HttpTransport) -> list[str]:
    """All lines of a stream."""
    return [line async for line in transport.lines(Request("GET", "/sync/live"))]


@pytest.mark.parametrize("name", sorted(BROKEN))
async def test_what_is_no_answer(name: str) -> None:
    async with answering(BROKEN[name]) as transport:
        with pytest.raises(EcholiaError, match="server_unreachable"):
            await transport.ask(Request("GET", "/sync/status"))
        with pytest.raises(EcholiaError, match="server_unreachable"):
            await followed(transport)


async def test_an_answer_that_does_not_end() -> None:
    async with answering(GIANT) as transport:
        with pytest.raises(EcholiaError, match="server_invalid: the answer is too long"):
            await transport.ask(Request("GET", "/sync/status"))
        with pytest.raises(EcholiaError, match="server_unreachable"):
            await followed(transport)


async def test_nobody_is_led_elsewhere() -> None:
    redirect = b"HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with answering(redirect) as transport:
        assert (await transport.ask(Request("GET", "/sync/status"))).status == 307
        with pytest.raises(EcholiaError, match="server_unreachable"):
            await followed(transport)
