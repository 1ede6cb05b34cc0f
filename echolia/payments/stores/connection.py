"""The connection to a store's API: no proxy, redirect, compression or cookie, and bounds of time and size."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

import httpx2

from echolia.payments.stores.unavailable import Reason, StoreUnavailable
from echolia.web.quiet import silence

# More than a page of notifications has; a store that never ends must not fill the server's memory.
MOST_BYTES: Final = 8 * 2**20
# These would write addresses, and with them purchase tokens.
LOGGERS: Final = ("httpx2", "httpcore2", "urllib3", "requests", "google.auth", "google.oauth2")
_CONNECT_S: Final = 10.0
_CONNECTIONS: Final = 20
_LONGEST_RETRY_AFTER_S: Final = 3600
_EPOCH_MS: Final = 10**11  # a Retry-After beyond this is a point in time, as Apple says it


@cache
def trusted() -> ssl.SSLContext:
    """Whose certificates are believed; reading them takes a third of a second."""
    return httpx2.create_ssl_context(trust_env=False)


class StoreConnection:
    """Requests to one store. Who asks gets whatever was answered, or `StoreUnavailable`."""

    def __init__(self, timeout_s: float, clock_ms: Callable[[], int]) -> None:
        silence(LOGGERS)
        self._timeout_s = timeout_s
        self._clock_ms = clock_ms
        limits = httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
        timeout = httpx2.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s))
        self._http = httpx2.AsyncClient(
            verify=trusted(), trust_env=False, follow_redirects=False, limits=limits, timeout=timeout
        )

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], json: Mapping[str, object] | None = None
    ) -> httpx2.Response:
        """The answer, its body whole, if its status is not one that says to come back.

        Raises: `StoreUnavailable` for 401, 403, 408, 429, 3xx, 5xx, and where no whole answer comes in time.
        """
        sent = {**headers, "accept-encoding": "identity", "user-agent": "echolia"}
        failed: Reason
        try:
            async with asyncio.timeout(self._timeout_s):
                request = self._http.build_request(method, url, headers=sent, json=json)
                response = await self._whole(request)
        except (TimeoutError, httpx2.TimeoutException):
            failed = "timeout"
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError):
            failed = "unreachable"
        else:
            if response is not None:
                self._refuse(response)
                return response
            failed = "malformed"
        raise StoreUnavailable(failed)  # outside of `except`: what a library says of a request names it

    async def _whole(self, request: httpx2.Request) -> httpx2.Response | None:
        """None where there is more than anything a store answers."""
        streamed = await self._http.send(request, stream=True)
        try:
            body = bytearray()
            async for piece in streamed.aiter_bytes():
                body += piece
                if len(body) > MOST_BYTES:
                    return None
        finally:
            await streamed.aclose()
            self._http.cookies.clear()
        kept = {name: streamed.headers[name] for name in _KEPT if name in streamed.headers}
        return httpx2.Response(streamed.status_code, headers=kept, content=bytes(body))

    def _refuse(self, response: httpx2.Response) -> None:
        reason = reason_of(response.status_code)
        if reason is not None:
            raise StoreUnavailable(reason, self._retry_after_s(response.headers.get("retry-after", "")))

    def _retry_after_s(self, said: str) -> int | None:
        if not re.fullmatch(r"\d{1,15}", said, re.ASCII):
            return None
        wait = int(said)
        if wait > _EPOCH_MS:
            wait = -((self._clock_ms() - wait) // 1000)
        return min(max(wait, 1), _LONGEST_RETRY_AFTER_S)

    async def close(self) -> None:
        """End the connections."""
        await self._http.aclose()


_KEPT: Final = ("content-type", "retry-after")


def reason_of(status: int) -> Reason | None:
    """Why an answer of this status is none; None where it is one."""
    if status in (401, 403):
        return "credentials"
    if status == 408:
        return "timeout"
    if status in (429, 503):
        return "overloaded"
    if status >= 500 or 300 <= status < 400 or status < 200:
        return "failed"
    return None
