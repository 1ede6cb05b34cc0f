"""Streams without the framework: what goes on being told, as server-sent events or as WebSocket messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from echolia.core.errors import EcholiaError
from echolia.web.context import Caller

HEARTBEAT_S: Final = 15.0
# Who does not take in what it is told for so long is not there.
SENDING_S: Final = 15.0
MEDIA_TYPE: Final = b"text/event-stream"
_LONG_S: Final = 3600.0

GOING_AWAY: Final = 1001
NOT_ASKED: Final = 1008
# Why a WebSocket ended, by the code of the refusal that the client would meet (spec/sync.md#live).
CLOSE_CODES: Final[Mapping[str, int]] = {
    "token_expired": 4001,
    "device_revoked": 4002,
    "account_unknown": 4003,
}


class Event(NamedTuple):
    """One piece of news: its kind, its id (what a client names to go on from), its data as JSON."""

    name: str
    id: str
    data: str


class Feed(Protocol):
    """What one listener is told; nothing of it runs while there is no news."""

    def begin(self, on_news: Callable[[], None], quiet_s: float) -> None:
        """Call `on_news` whenever there is something to take, and after so much silence."""
        ...

    def take(self) -> Event | None:
        """What is new, or None; the error that ends the stream is raised, each time."""
        ...

    def close(self) -> None:
        """No more news; a second call does nothing."""
        ...


class StreamRequest(NamedTuple):
    """Who asks for a stream; `headers` have lower-case names, `query` the first value of each name."""

    caller: Caller
    headers: Mapping[bytes, bytes]
    query: Mapping[str, str]


class StreamRoute(NamedTuple):
    """One exact path that streams, its entry in the OpenAPI document, its rate limit.

    `open` begins a stream for a member; `spend` gives the member for whom a ticket speaks. Both raise
    refusals.
    """

    path: str
    open: Callable[[StreamRequest], Awaitable[Feed]]
    spend: Callable[[str], Awaitable[Caller]]
    openapi: Mapping[str, Any]
    limit: str = "account"
    method: str = "GET"


def query_of(scope: Scope) -> dict[str, str]:
    """The first value of each name in the query."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return dict(reversed(pairs))


async def tell_events(feed: Feed, receive: Receive, send: Send) -> None:
    """Server-sent events on an answer that has started, until the feed ends or the client hangs up.

    The first words come at once, be it a comment: proxies and clients see that the stream is open.
    """

    async def say(event: Event | None) -> None:
        lines = f"event: {event.name}\nid: {event.id}\ndata: {event.data}\n\n" if event else ": alive\n\n"
        await send({"type": "http.response.body", "body": lines.encode(), "more_body": True})

    async def part(_code: str) -> None:
        # The stream ends, and the device learns why when it asks again.
        await send({"type": "http.response.body", "body": b""})

    await _Teller(feed, say, part).tell(receive, HEARTBEAT_S)


async def tell_messages(feed: Feed, receive: Receive, send: Send) -> None:
    """Text messages on a WebSocket that was accepted, until one side ends it; pings are the server
    program's.
    """

    async def say(event: Event | None) -> None:
        if event is not None:
            await send({"type": "websocket.send", "text": event.data})

    async def part(code: str) -> None:
        await send({"type": "websocket.close", "code": CLOSE_CODES.get(code, GOING_AWAY), "reason": code})

    if await _Teller(feed, say, part).tell(receive, _LONG_S) == "websocket.receive":
        await send({"type": "websocket.close", "code": NOT_ASKED, "reason": ""})


class _Teller:
    """Carries a feed's news to a client: waits in one task for the client to leave, and makes another only
    while there is something to say.
    """

    __slots__ = ("_feed", "_gave_up", "_part", "_say", "_telling", "_waiting")

    def __init__(
        self,
        feed: Feed,
        say: Callable[[Event | None], Awaitable[None]],
        part: Callable[[str], Awaitable[None]],
    ) -> None:
        self._feed = feed
        self._say = say
        self._part = part
        self._telling: asyncio.Task[None] | None = None
        self._waiting = asyncio.current_task()
        self._gave_up = False

    async def tell(self, receive: Receive, quiet_s: float) -> str:
        """Tell until it is over; the kind of the client's last message, "" if it did not take in ours."""
        self._feed.begin(self._news, quiet_s)
        self._news()
        try:
            while (kind := (await receive())["type"]) == "http.request":
                pass  # the rest of a body that is none
            return str(kind)
        except asyncio.CancelledError:
            if not self._gave_up or self._waiting is None:
                raise
            self._waiting.uncancel()
            return ""
        finally:
            self._feed.close()
            if self._telling is not None:
                self._telling.cancel()

    def _news(self) -> None:
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell_news())

    async def _tell_news(self) -> None:
        try:
            async with asyncio.timeout(SENDING_S):
                await self._say_all()
        except (TimeoutError, OSError):
            self._gave_up = True
            if self._waiting is not None:
                self._waiting.cancel()
        finally:
            self._telling = None

    async def _say_all(self) -> None:
        try:
            await self._say(self._feed.take())  # None: that there is nothing new is news as well
            while (event := self._feed.take()) is not None:
                await self._say(event)
        except EcholiaError as error:
            await self._part(error.code)
