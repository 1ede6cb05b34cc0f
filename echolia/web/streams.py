"""Streams without the framework: what goes on being told, as server-sent events or as WebSocket messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple, Protocol
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from echolia.core.errors import EcholiaError
from echolia.web.context import Caller

HEARTBEAT_S: Final = 15.0
# Who does not take in what it is told for so long is not there.
SENDING_S: Final = 15.0
MEDIA_TYPE: Final = b"text/event-stream"

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


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """Who asks for a stream; `headers` have lower-case names, `query` the first value of each name."""

    caller: Caller
    headers: Mapping[bytes, bytes] = field(repr=False)  # an access token is among them,
    query: Mapping[str, str] = field(repr=False)  # or a ticket


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


class Teller:
    """Carries a feed's news to a client: waits in one task for the client to leave, and makes another only
    while there is something to say.
    """

    __slots__ = ("_feed", "_gave_up", "_send", "_telling", "_waiting")
    quiet_s: ClassVar = HEARTBEAT_S
    patience_s: ClassVar = SENDING_S

    def __init__(self, feed: Feed, send: Send) -> None:
        self._feed = feed
        self._send = send
        self._telling: asyncio.Task[None] | None = None
        self._waiting = asyncio.current_task()
        self._gave_up = False

    async def say(self, event: Event | None) -> None:
        """Tell this, or that there is nothing new."""
        raise NotImplementedError

    async def part(self, code: str) -> None:
        """The feed ended by reason of this code."""
        raise NotImplementedError

    async def tell(self, receive: Receive) -> str:
        """Tell until it is over; the kind of the client's last message, "" if it did not take in ours."""
        self._feed.begin(self._news, self.quiet_s)
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
            async with asyncio.timeout(self.patience_s):
                await self._say_all()
        except (TimeoutError, OSError):  # nobody takes in what is said
            self._give_up()
        except Exception:
            self._give_up()
            raise
        finally:
            self._telling = None

    async def _say_all(self) -> None:
        try:
            await self.say(self._feed.take())
            while (event := self._feed.take()) is not None:
                await self.say(event)
        except EcholiaError as error:
            await self.part(error.code)

    def _give_up(self) -> None:
        self._gave_up = True
        if self._waiting is not None:
            self._waiting.cancel()


class EventTeller(Teller):
    """Server-sent events on an answer that has started.

    The first words come at once, be it a comment: proxies and clients see that the stream is open.
    """

    __slots__ = ()

    async def say(self, event: Event | None) -> None:
        """An event, or a comment."""
        lines = f"event: {event.name}\nid: {event.id}\ndata: {event.data}\n\n" if event else ": alive\n\n"
        await self._send({"type": "http.response.body", "body": lines.encode(), "more_body": True})

    async def part(self, code: str) -> None:
        """The answer ends, and the device learns why when it asks again."""
        del code
        await self._send({"type": "http.response.body", "body": b""})


class MessageTeller(Teller):
    """Text messages on a WebSocket that was accepted; pings are the server program's."""

    __slots__ = ()
    quiet_s: ClassVar = 3600.0

    async def say(self, event: Event | None) -> None:
        """A message, or nothing."""
        if event is not None:
            await self._send({"type": "websocket.send", "text": event.data})

    async def part(self, code: str) -> None:
        """A close frame that says why."""
        closing = {"code": CLOSE_CODES.get(code, GOING_AWAY), "reason": code}
        await self._send({"type": "websocket.close", **closing})

    async def tell(self, receive: Receive) -> str:
        """Tell until it is over, which it is as soon as the client says anything."""
        kind = await super().tell(receive)
        if kind == "websocket.receive":
            await self._send({"type": "websocket.close", "code": NOT_ASKED, "reason": ""})
        return kind
