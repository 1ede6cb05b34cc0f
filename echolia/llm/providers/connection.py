"""The connection to a provider: no proxy, redirect, compression or cookie, and bounds of time and size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import cache
from typing import TYPE_CHECKING, Final

import aiohttp
import httpx2

from echolia.core.errors import EcholiaError
from echolia.llm.providers.endpoint import Endpoint
from echolia.llm.providers.exchange import SENT_HEADERS, Exchange, code_of_status, current, retry_after_s

if TYPE_CHECKING:
    import ssl

# More than any answer has: a provider that never ends must not fill the server's memory.
MOST_BYTES: Final = 32 * 2**20
# Connections that were being closed, one after the other, before it counts as a failure.
_TRIES: Final = 4
# Headers that aiohttp would add of itself.
_ADDED: Final = ("accept", "accept-encoding", "content-type", "user-agent")


class NotAnswered(Exception):
    """The SDK gets this in place of an answer; why is in the exchange."""


def http_client(endpoint: Endpoint) -> httpx2.AsyncClient:
    """The client that an SDK is given. Variables of the environment change nothing of it."""
    return httpx2.AsyncClient(transport=Connection(endpoint), trust_env=False, follow_redirects=False)


class Connection(httpx2.AsyncBaseTransport):
    """Connections to one endpoint, by aiohttp: a request costs it half of what it costs httpx2.

    What goes wrong is noted in the current exchange.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._free = asyncio.Semaphore(endpoint.connections)
        # Now, as it would stop everybody for a tenth of a second when the first one asks.
        self._believed = endpoint.base_url.startswith("http:") or _certificates()
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer, its body as it comes. Raises: `NotAnswered`."""
        exchange = current()
        if await self._admitted(exchange):
            until = asyncio.get_running_loop().time() + self._endpoint.first_byte_s
            try:
                async with asyncio.timeout_at(until):
                    response = await self._sent(request)
            except TimeoutError:
                exchange.failed("upstream_timeout")
            except (aiohttp.ClientError, OSError, ValueError):
                exchange.failed("upstream_unreachable")  # also who hangs up, or answers what is no HTTP
            else:
                return self._taken(exchange, response, until)
        raise NotAnswered

    async def _admitted(self, exchange: Exchange) -> bool:
        """Whether it may be asked, and there is room for another request in time: it is given back when the
        exchange ends.
        """
        try:
            await exchange.admitted()
        except EcholiaError as error:
            exchange.refused(error)
            return False
        try:
            async with asyncio.timeout(self._endpoint.connect_s):
                await self._free.acquire()
        except TimeoutError:
            exchange.failed("upstream_overloaded")  # as many requests as there may be are under way
            return False
        exchange.on_close(self._free.release)
        return True

    async def _sent(self, request: httpx2.Request) -> aiohttp.ClientResponse:
        for left in reversed(range(_TRIES)):
            try:
                return await self._sent_once(request)
            except aiohttp.ClientOSError as error:
                # The connection was just being closed, as kept ones are: not all of the request was written,
                # so that nobody can have acted on it.
                if not left or not isinstance(error.__cause__, aiohttp.ClientConnectionResetError):
                    raise
        raise AssertionError

    async def _sent_once(self, request: httpx2.Request) -> aiohttp.ClientResponse:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, ssl=self._believed)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False,
                skip_auto_headers=_ADDED,
            )  # fmt: skip
        sent = [(name, value) for name, value in request.headers.multi_items() if name in SENT_HEADERS]
        own = [("accept-encoding", "identity"), ("user-agent", "echolia")]
        return await self._session.request(
            request.method,
            str(request.url),
            headers=[*sent, *own],
            data=await request.aread() or None,
            allow_redirects=False,
            # Waiting for what is read is bounded here and in the body; SDKs set what they like.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._endpoint.connect_s),
        )

    def _taken(self, exchange: Exchange, response: aiohttp.ClientResponse, until: float) -> httpx2.Response:
        exchange.on_close(response.close)
        exchange.answered(response.status, response.headers)
        if response.status != 200:
            exchange.failed(code_of_status(response.status), retry_after_s(response.headers))
        elif response.headers.get("content-encoding", "identity") != "identity":
            exchange.failed("upstream_malformed")  # nobody asked for it
        else:
            body = _Body(response, exchange, until, self._endpoint.chunk_s)
            return httpx2.Response(200, headers=response.raw_headers, stream=body)
        exchange.close()
        raise NotAnswered

    async def aclose(self) -> None:
        """End the connections."""
        if self._session is not None:
            await self._session.close()


@cache
def _certificates() -> ssl.SSLContext:
    """Whom to believe; takes long to make, and is the same for all."""
    return httpx2.create_ssl_context(trust_env=False)


class _Body(httpx2.AsyncByteStream):
    """An answer's body: each piece in time, all of it within `MOST_BYTES`."""

    def __init__(
        self, response: aiohttp.ClientResponse, exchange: Exchange, first_until: float, chunk_s: float
    ) -> None:
        self._response = response
        self._exchange = exchange
        self._until = first_until
        self._chunk_s = chunk_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        while piece := await self._next():
            size += len(piece)
            if size > MOST_BYTES:
                self._exchange.failed("upstream_malformed")
                raise NotAnswered
            yield piece

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout_at(self._until):
                piece = await self._response.content.readany()
        except TimeoutError:
            self._exchange.failed("upstream_timeout")
        except (aiohttp.ClientError, OSError):
            self._exchange.failed("upstream_truncated")  # a cut
        else:
            self._until = asyncio.get_running_loop().time() + self._chunk_s
            return piece
        raise NotAnswered

    async def aclose(self) -> None:
        """End it, also where it has not ended."""
        self._response.close()
