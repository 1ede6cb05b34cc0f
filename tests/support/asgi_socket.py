"""Opens a WebSocket on an ASGI application as a server would, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

from starlette.types import ASGIApp, Message

from tests.support.asgi import ANSWER_S, Answer


class Socket:
    """A connection; `answer` is what refused it, if something did."""

    def __init__(self) -> None:
        self.answer = Answer()
        self.accepted: dict[str, str] = {}
        self.texts: list[str] = []
        self.closed: tuple[int, str] | None = None
        self.news = asyncio.Event()
        self.ended = False
        self._given: asyncio.Queue[Message] = asyncio.Queue()
        self._given.put_nowait({"type": "websocket.connect"})

    def say(self, text: str) -> None:
        """Send a message to the application."""
        self._given.put_nowait({"type": "websocket.receive", "text": text})

    def leave(self) -> None:
        """Hang up."""
        self._given.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def receive(self) -> Message:
        """The application's `receive`."""
        return await self._given.get()

    async def send(self, message: Message) -> None:
        """The application's `send`."""
        match message["type"]:
            case "websocket.accept":
                self.accepted = {name.decode(): value.decode() for name, value in message["headers"]}
            case "websocket.send":
                self.texts.append(message["text"])
            case "websocket.close":
                self.closed = (message["code"], message["reason"])
                self.leave()
            case "websocket.http.response.start":
                self.answer.status = message["status"]
                self.answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            case "websocket.http.response.body":
                self.answer.body += message["body"]
        self.news.set()

    async def until(self, texts: int = 0, ended: bool = False) -> None:
        """Wait until so many messages have come, or until it is over."""
        async with asyncio.timeout(ANSWER_S):
            while len(self.texts) < texts or (ended and not self.ended):
                assert ended or not self.ended, "it ended before"
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def socket(
    app: ASGIApp, target: str, extensions: Iterable[str] = ("websocket.http.response",), **headers: str
) -> AsyncIterator[Socket]:
    """A WebSocket at that address; leaving the block hangs up. Underscores in names stand for dashes."""
    path, _, query = target.partition("?")
    named = {name.lower().replace("_", "-"): value for name, value in headers.items()}
    scope: dict[str, Any] = {
        "type": "websocket", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        "client": ("127.0.0.1", 40000), "server": ("server.test", 80), "root_path": "", "subprotocols": [],
        "extensions": {name: {} for name in extensions},
    }  # fmt: skip
    it = Socket()
    task = asyncio.create_task(_to_its_end(app, scope, it))
    try:
        yield it
    finally:
        it.leave()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _to_its_end(app: ASGIApp, scope: dict[str, Any], it: Socket) -> None:
    try:
        await app(scope, it.receive, it.send)
    finally:
        it.ended = True
        it.news.set()
