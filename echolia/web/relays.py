"""Answers that come piece by piece from elsewhere and end with their reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any, Final, NamedTuple

from starlette.types import Receive, Send

from echolia.web.lean import LeanRequest

# Who does not take in a piece for so long is not there.
PATIENCE_S: Final = 30.0
Relay = AsyncGenerator[bytes, None]


class RelayRoute(NamedTuple):
    """One authenticated POST at one exact path whose answer is relayed, by whichever process it comes to.

    `open` reads the request and raises refusals; what it returns is begun after the answer's head has gone
    out. `limit` is charged to the account.
    """

    path: str
    open: Callable[[LeanRequest], Awaitable[Relay]]
    openapi: Mapping[str, Any]
    limit: str
    max_body_bytes: int
    media_type: bytes
    method: str = "POST"


async def relayed(relay: Relay, receive: Receive, send: Send, patience_s: float = PATIENCE_S) -> None:
    """Send all pieces and the end, or close the relay as soon as the reader is gone or does not read."""
    sending = asyncio.create_task(_send(relay, send, patience_s))
    leaving = asyncio.create_task(_left(receive))
    try:
        await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        sending.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)
    if not sending.cancelled():
        sending.result()


async def _send(relay: Relay, send: Send, patience_s: float) -> None:
    async with aclosing(relay):
        with suppress(TimeoutError, OSError):  # nobody takes in what is said
            async for piece in relay:
                async with asyncio.timeout(patience_s):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
