"""The transport over HTTP: one aiohttp session, no redirects, bounded answers and times."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import TYPE_CHECKING, Final

from echolia.client.transport import Answer, Request
from echolia.core.errors import EcholiaError

if TYPE_CHECKING:
    import aiohttp

_MAX_ANSWER_BYTES: Final = 16 << 20
_MAX_WAIT_S: Final = 3600.0
_AT_ONCE_BYTES: Final = 64 * 1024
_CONNECT_S: Final = 10.0
# A model's answer shows a sign of life every 10 s.
_PIECE_S: Final = 45.0


def checked_address(server: str) -> str:
    """A server's address without a slash at its end; raises `server_unreachable` for what is none."""
    address = server.strip().rstrip("/")
    if re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", address) is None:
        raise EcholiaError("server_unreachable", "the address must start with http:// or https://")
    return address


class HttpTransport:
    """Speaks to one server; aiohttp is loaded with the first request, so that local work starts fast."""

    def __init__(self, server: str) -> None:
        self._server = checked_address(server)
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, request: Request) -> Answer:
        """See `Transport.ask`."""
        import aiohttp  # noqa: PLC0415  # only those who sync pay for it

        timeout = aiohttp.ClientTimeout(total=request.timeout_s, sock_connect=_CONNECT_S)
        try:
            async with self._begin(request, timeout) as response:
                return _answer(response, await _bounded(response))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            raise EcholiaError("server_unreachable") from None

    async def pieces(self, request: Request) -> AsyncGenerator[Answer | bytes, None]:
        """See `Transport.pieces`."""
        import aiohttp  # noqa: PLC0415

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_PIECE_S)
        try:
            async with self._begin(request, timeout) as response:
                if response.status != 200:
                    yield _answer(response, await _bounded(response))
                    return
                yield _answer(response, b"")
                async for piece in response.content.iter_any():
                    yield piece
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            raise EcholiaError("server_unreachable") from None

    async def lines(self, request: Request) -> AsyncIterator[str]:
        """See `Transport.lines`."""
        import aiohttp  # noqa: PLC0415
        from aiohttp.http_exceptions import HttpProcessingError  # noqa: PLC0415  # a line without end

        # The stream says something every 15 s; silence of three times that is a broken connection.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=45)
        try:
            async with self._begin(request, timeout) as response:
                if response.status != 200:
                    raise EcholiaError("server_unreachable", f"live answered {response.status}")
                async for line in response.content:
                    yield line.decode("utf-8", "replace").rstrip("\r\n")
        except (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError, ValueError):
            raise EcholiaError("server_unreachable") from None

    async def close(self) -> None:
        """See `Transport.close`."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _begin(
        self, request: Request, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.client._BaseRequestContextManager[aiohttp.ClientResponse]:
        import aiohttp  # noqa: PLC0415

        if self._session is None:
            # Sealed bytes do not compress, and cookies or proxies of the surroundings are none of ours.
            self._session = aiohttp.ClientSession(
                headers={"Accept-Encoding": "identity", "User-Agent": "echolia"},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        headers = {"Accept": request.accept}
        if request.body:
            headers["Content-Type"] = request.content_type
        if request.authorization:
            headers["Authorization"] = request.authorization
        if request.last_event_id:
            headers["Last-Event-ID"] = request.last_event_id
        return self._session.request(
            request.method,
            self._server + request.path,
            data=_sent(request.body),
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
        )


def _sent(body: bytes) -> bytes | BytesIO | None:
    """What aiohttp writes: much as a stream, in pieces, which costs a thread for each."""
    return (BytesIO(body) if len(body) > _AT_ONCE_BYTES else body) or None


def _answer(response: aiohttp.ClientResponse, body: bytes) -> Answer:
    headers = response.headers
    retry_after_s = _retry_after(headers.get("Retry-After", ""))
    return Answer(response.status, body, retry_after_s, _date_ms(headers.get("Date", "")))


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_chunked(1 << 16):
        size += len(part)
        if size > _MAX_ANSWER_BYTES:
            raise EcholiaError("server_invalid", "the answer is too long")
        parts.append(part)
    return b"".join(parts)


def _retry_after(value: str) -> float:
    return min(float(value), _MAX_WAIT_S) if re.fullmatch(r"\d{1,9}", value) else 0.0


def _date_ms(value: str) -> int:
    try:
        return int(parsedate_to_datetime(value).timestamp() * 1000)
    except (ValueError, TypeError, OverflowError):
        return 0
