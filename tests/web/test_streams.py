"""Streams without the framework: what is told and when, and who is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

import pytest
from starlette.types import Message, Send

from echolia.core.errors import EcholiaError
from echolia.web.streams import Event, EventTeller, MessageTeller, Teller, query_of

ONE, TWO = Event("head", "7.1", "one"), Event("head", "7.2", "two")


class Impatient(EventTeller):
    """One who waits a moment for a client that does not read."""

    patience_s: ClassVar = 0.01


class Feed:
    """News that a test puts in; `error` ends it."""

    def __init__(self, *events: Event) -> None:
        self.events = list(events)
        self.error = ""
        self.closed = 0
        self.on_news: Callable[[], None] = lambda: None

    def begin(self, on_news: Callable[[], None], quiet_s: float) -> None:
        """See `web.streams.Feed`."""
        self.on_news, self.quiet_s = on_news, quiet_s

    def take(self) -> Event | None:
        """See `web.streams.Feed`."""
        if self.error and not self.events:
            raise EcholiaError(self.error)
        return self.events.pop(0) if self.events else None

    def close(self) -> None:
        """See `web.streams.Feed`."""
        self.closed += 1


class Client:
    """Takes in what it is told, until it `blocks`."""

    def __init__(self) -> None:
        self.got: list[Message] = []
        self.news = asyncio.Event()
        self.said: asyncio.Queue[str] = asyncio.Queue()
        self.blocks = False
        self.failure: Exception | None = None

    async def send(self, message: Message) -> None:
        """An ASGI `send`."""
        if self.failure is not None:
            raise self.failure
        if self.blocks:
            await asyncio.Event().wait()
        self.got.append(message)
        self.news.set()
        over = message["type"] == "http.response.body" and not message.get("more_body")
        if over or message["type"] == "websocket.close":
            self.said.put_nowait("http.disconnect")

    async def receive(self) -> Message:
        """An ASGI `receive`."""
        return {"type": await self.said.get()}

    async def until(self, count: int) -> list[str]:
        """The first so many messages' content."""
        async with asyncio.timeout(20):
            while len(self.got) < count:
                self.news.clear()
                await self.news.wait()
        return [_content(message) for message in self.got]


def _content(message: Message) -> str:
    body = message.get("body")
    return body.decode() if body is not None else str(message.get("text", message.get("code")))


def telling(kind: Callable[[Feed, Send], Teller], feed: Feed, client: Client) -> asyncio.Task[str]:
    """A teller at work."""

    async def tell() -> str:
        return await kind(feed, client.send).tell(client.receive)

    return asyncio.create_task(tell())


async def ended(task: asyncio.Task[str]) -> str:
    """What the teller's end was."""
    return await asyncio.wait_for(task, 20)


async def test_events_come_as_they_are_news() -> None:
    feed, client = Feed(ONE, TWO), Client()
    task = telling(EventTeller, feed, client)
    assert await client.until(2) == [
        "event: head\nid: 7.1\ndata: one\n\n",
        "event: head\nid: 7.2\ndata: two\n\n",
    ]
    feed.on_news()
    assert (await client.until(3))[2] == ": alive\n\n"
    assert feed.quiet_s == 15
    client.said.put_nowait("http.request")  # the rest of a body changes nothing
    client.said.put_nowait("http.disconnect")
    assert await ended(task) == "http.disconnect"
    assert feed.closed


async def test_a_stream_without_news_says_something_at_once() -> None:
    feed, client = Feed(), Client()
    task = telling(EventTeller, feed, client)
    assert await client.until(1) == [": alive\n\n"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_messages_come_only_with_news() -> None:
    feed, client = Feed(), Client()
    task = telling(MessageTeller, feed, client)
    feed.on_news()
    await asyncio.sleep(0)
    feed.events.append(ONE)
    feed.on_news()
    assert await client.until(1) == ["one"]
    client.said.put_nowait("websocket.disconnect")
    assert await ended(task) == "websocket.disconnect"


@pytest.mark.parametrize(
    ("code", "number"),
    [("token_expired", 4001), ("device_revoked", 4002), ("account_unknown", 4003), ("unavailable", 1001)],
)
async def test_the_end_is_told(code: str, number: int) -> None:
    for kind, told in ((MessageTeller, str(number)), (EventTeller, "")):
        feed, client = Feed(ONE), Client()
        feed.error = code
        await ended(telling(kind, feed, client))
        assert _content(client.got[-1]) == told
        assert len(client.got) == 2
        assert feed.closed
    assert client.got[-1] == {"type": "http.response.body", "body": b""}


async def test_a_client_that_says_something_is_sent_away() -> None:
    feed, client = Feed(), Client()
    client.said.put_nowait("websocket.receive")
    await ended(telling(MessageTeller, feed, client))
    assert _content(client.got[-1]) == "1008"


async def test_who_does_not_take_in_what_is_said_is_given_up() -> None:
    feed, client = Feed(ONE), Client()
    client.blocks = True
    assert await ended(telling(Impatient, feed, client)) == ""
    assert feed.closed


async def test_who_is_gone_is_given_up() -> None:
    feed, client = Feed(ONE), Client()
    client.failure = BrokenPipeError()
    assert await ended(telling(EventTeller, feed, client)) == ""
    assert feed.closed


async def test_a_query_is_read_as_its_first_values() -> None:
    def query(text: bytes) -> dict[str, str]:
        return query_of({"query_string": text})

    assert query(b"after=1.2&ticket=a&ticket=b&x") == {"after": "1.2", "ticket": "a", "x": ""}
    assert query(b"%ff=%zz&=&\xff=1").keys() >= {"", "ÿ"}
