"""Asks an ASGI application as a server would, without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message

ANSWER_S = 20.0


@dataclass
class Answer:
    """What came back; header names are lower-case."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's code; "" if it is none."""
        return (
            str(self.json()["code"]) if self.headers.get("content-type") == "application/problem+json" else ""
        )


@dataclass
class Asker:
    """A client of one application; `peer` is the address that it seems to come from.

    An answer that takes longer than `answer_s` is given up (TimeoutError).
    """

    app: ASGIApp
    token: str = ""
    peer: str = "127.0.0.1"
    answer_s: float = ANSWER_S

    async def __call__(
        self,
        method: str,
        target: str,
        json_body: Any = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Answer:
        """One request, answered whole; `target` may have a query."""
        scope, sent = self._request(method, target, json_body, body, headers, token)
        given = [{"type": "http.request", "body": sent, "more_body": False}]
        waiting = asyncio.Event()

        async def receive() -> Message:
            if given:
                return given.pop()
            await waiting.wait()
            return {"type": "http.disconnect"}

        answer = Answer()

        async def send(message: Message) -> None:
            _collect(answer, message)

        async with asyncio.timeout(self.answer_s):
            await self.app(scope, receive, send)
        return answer

    @asynccontextmanager
    async def stream(
        self, target: str, token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[Stream]:
        """An answer that goes on; leaving the block hangs up."""
        scope, body = self._request("GET", target, None, None, headers, token)
        stream, gone = Stream(), asyncio.Event()
        given = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if given:
                return given.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            _collect(stream.answer, message)
            stream.news.set()
            if message["type"] == "http.response.body" and not message.get("more_body"):
                gone.set()  # what a server says to an application that has answered

        task = asyncio.create_task(_to_its_end(self.app(scope, receive, send), stream))
        try:
            yield stream
        finally:
            gone.set()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _request(
        self,
        method: str,
        target: str,
        json_body: Any,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        token: str | None,
    ) -> tuple[dict[str, Any], bytes]:
        path, _, query = target.partition("?")
        named = {"host": "server.test", **(headers or {})}
        if json_body is not None:
            body = json.dumps(json_body).encode()
            named.setdefault("content-type", "application/json")
        if body is not None:
            named.setdefault("content-length", str(len(body)))
        bearer = self.token if token is None else token
        if bearer:
            named.setdefault("authorization", f"Bearer {bearer}")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
            "client": (self.peer, 40000),
            "server": ("server.test", 80),
            "state": {},
        }
        return scope, body or b""


class Stream:
    """An answer while it arrives."""

    def __init__(self) -> None:
        self.answer = Answer()
        self.news = asyncio.Event()
        self.ended = False

    async def until(self, part: bytes) -> None:
        """Wait until the body holds this."""
        async with asyncio.timeout(ANSWER_S):
            while part not in self.answer.body:
                assert not self.ended, "the stream ended before"
                self.news.clear()
                await self.news.wait()

    async def end(self) -> None:
        """Wait until the answer is complete."""
        async with asyncio.timeout(ANSWER_S):
            while not self.ended:
                self.news.clear()
                await self.news.wait()


async def _to_its_end(running: Any, stream: Stream) -> None:
    try:
        await running
    finally:
        stream.ended = True
        stream.news.set()


def _collect(answer: Answer, message: Message) -> None:
    if message["type"] == "http.response.start":
        assert not answer.status, "an answer starts once"
        answer.status = message["status"]
        answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
    else:
        answer.body += message.get("body", b"")
