"""A server on loopback that keeps what it is sent and answers with the bytes that it is given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

PATHS: Final = {"anthropic": "", "openai": "/v1", "google": ""}


class Got(NamedTuple):
    """A request: its first line, its headers by names in lower case, its body's JSON."""

    line: str
    headers: Mapping[str, str]
    body: Any


class Scripted:
    """One answer for each request, in order; a request for which there is none is hung up on."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self._answers: list[tuple[bytes, bool]] = []
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    def base_url(self, kind: str) -> str:
        """Where an adapter of that kind finds it."""
        return f"http://127.0.0.1:{self.port}{PATHS[kind]}"

    def raw(self, answer: bytes, *, stays: bool = False) -> None:
        """The next answer; then it hangs up, or `stays` and says no more."""
        self._answers.append((answer, stays))

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """The next answer, whole."""
        told = {"content-length": str(len(body)), "content-type": "application/json", **(headers or {})}
        lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in told.items())]
        self.raw("\r\n".join([*lines, "connection: close", "", ""]).encode() + body)

    def events(self, *events: tuple[str | None, object] | object) -> None:
        """The next answer: server-sent events, each a value or a name and a value."""
        self.answer(200, b"".join(map(_event, events)), {"content-type": "text/event-stream"})

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *fields = head.decode().split("\r\n")[:-2]
                headers = {
                    name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.got.append(Got(line, headers, json.loads(body) if body else None))
                if not self._answers:
                    return
                answer, stays = self._answers.pop(0)
                writer.write(answer)
                await writer.drain()
                if not stays:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client hung up
        finally:
            writer.close()


def _event(event: tuple[str | None, object] | object) -> bytes:
    name, value = event if isinstance(event, tuple) else (None, event)
    told = f"event: {name}\n" if name else ""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{told}data: {text}\n\n".encode()


def anthropic(*events: dict[str, Any]) -> Sequence[tuple[str, object]]:
    """Anthropic's events, which are named by their types."""
    return [(event["type"], event) for event in events]
