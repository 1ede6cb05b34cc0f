"""The connection to a provider: no proxy, redirect, compression or cookie, and bounds of time and size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import httpx2

from echolia.llm.providers.endpoint import Endpoint
from echolia.llm.providers.exchange import SENT_HEADERS, Exchange, code_of_status, current, retry_after_s

# More than any answer has: a provider that never ends must not fill the server's memory.
MOST_BYTES: Final = 32 * 2**20


class NotAnswered(Exception):
    """The SDK gets this in place of an answer; why is in the exchange."""


def http_client(endpoint: Endpoint) -> httpx2.AsyncClient:
    """The client that an SDK is given. Variables of the environment change nothing of it."""
    return httpx2.AsyncClient(transport=Connection(endpoint), trust_env=False, follow_redirects=False)


class Connection(httpx2.AsyncBaseTransport):
    """Connections to one endpoint. What goes wrong is noted in the current exchange."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        most = endpoint.connections
        limits = httpx2.Limits(max_connections=most, max_keepalive_connections=most)
        self._below = httpx2.AsyncHTTPTransport(trust_env=False, limits=limits)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer, its body as it comes. Raises: `NotAnswered`."""
        exchange = current()
        until = asyncio.get_running_loop().time() + self._endpoint.first_byte_s
        try:
            async with asyncio.timeout_at(until):
                response = await self._below.handle_async_request(self._as_sent(request))
        except httpx2.PoolTimeout:
            exchange.failed("upstream_overloaded")  # as many requests as there may be are under way
        except (TimeoutError, httpx2.TimeoutException):
            exchange.failed("upstream_timeout")
        except httpx2.TransportError:
            exchange.failed("upstream_unreachable")  # also who hangs up, or answers something that is no HTTP
        else:
            return await self._taken(exchange, response, until)
        raise NotAnswered

    async def _taken(self, exchange: Exchange, response: httpx2.Response, until: float) -> httpx2.Response:
        exchange.answered(response)
        if response.status_code != 200:
            exchange.failed(code_of_status(response.status_code), retry_after_s(response.headers))
        elif response.headers.get("content-encoding", "identity") != "identity":
            exchange.failed("upstream_malformed")  # nobody asked for it
        else:
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            body = _Body(response.stream, exchange, until, self._endpoint.chunk_s)
            return httpx2.Response(200, headers=response.headers, stream=body)
        await exchange.close()
        raise NotAnswered

    def _as_sent(self, request: httpx2.Request) -> httpx2.Request:
        for name in set(request.headers) - SENT_HEADERS:
            del request.headers[name]
        request.headers["accept-encoding"] = "identity"
        request.headers["user-agent"] = "echolia"
        connect_s = self._endpoint.connect_s
        # Waiting for what is read is bounded here and in the body; SDKs set what they like.
        request.extensions["timeout"] = httpx2.Timeout(None, connect=connect_s, pool=connect_s).as_dict()
        return request

    async def aclose(self) -> None:
        """End the connections."""
        await self._below.aclose()


class _Body(httpx2.AsyncByteStream):
    """An answer's body: each piece in time, all of it within `MOST_BYTES`."""

    def __init__(
        self, body: httpx2.AsyncByteStream, exchange: Exchange, first_until: float, chunk_s: float
    ) -> None:
        self._body = body
        self._exchange = exchange
        self._until = first_until
        self._chunk_s = chunk_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces, size = aiter(self._body), 0
        while (piece := await self._next(pieces)) is not None:
            size += len(piece)
            if size > MOST_BYTES:
                self._exchange.failed("upstream_malformed")
                raise NotAnswered
            yield piece

    async def _next(self, pieces: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout_at(self._until):
                piece = await anext(pieces, None)
        except (TimeoutError, httpx2.TimeoutException):
            self._exchange.failed("upstream_timeout")
        except httpx2.TransportError:
            self._exchange.failed("upstream_truncated")  # a cut
        else:
            self._until = asyncio.get_running_loop().time() + self._chunk_s
            return piece
        raise NotAnswered

    async def aclose(self) -> None:
        """End it, also where it has not ended."""
        await self._body.aclose()
