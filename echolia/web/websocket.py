"""uvicorn's side of a WebSocket whose client only listens: small enough for thousands that are idle.

The libraries that uvicorn knows cost 17 to 19 KiB a connection before anybody says a word, and answer any
number of pings (docs/decisions/0010-live-streams.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

from starlette.types import Message, Scope
from uvicorn.config import Config
from uvicorn.server import ServerState

from echolia.web import frames

# Control frames that a client may send between two of our pings; it owes one.
MOST_FRAMES: Final = 16
CLOSING_S: Final = 5.0
GOING_AWAY: Final = 1001
LOST: Final = 1006
_VERSION: Final = b"13"
_NEW, _ASKING, _OPEN, _CLOSING = range(4)

Headers = Sequence[tuple[bytes, bytes]]


class ListeningSocket(asyncio.Protocol):
    """One connection, from its handshake to its end; a `ws` protocol for `uvicorn.Config`.

    To the application it is an ASGI WebSocket that receives nothing but `connect` and `disconnect`.
    """

    __slots__ = (
        "_config", "_frames", "_gone", "_key", "_loop", "_owes", "_phase", "_reader", "_state", "_timer",
        "_transport",
    )  # fmt: skip

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        del app_state
        self._config = config
        self._state = server_state
        self._loop = asyncio.get_running_loop()
        self._gone: asyncio.Future[int] = self._loop.create_future()
        self._reader = frames.Reader()
        self._timer: asyncio.TimerHandle | None = None
        self._phase = _NEW
        self._frames = 0
        self._owes = False
        self._key = b""

    # --- what the transport says ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The connection is ours; its request comes as the first data."""
        self._transport = transport
        self._state.connections.add(self)  # type: ignore[arg-type]  # uvicorn knows its own protocols

    def connection_lost(self, exc: Exception | None) -> None:
        """The application hears `disconnect`."""
        del exc
        self._state.connections.discard(self)
        self._phase = _CLOSING
        self._let_go(LOST)

    def pause_writing(self) -> None:
        """So much is waiting that nobody can be reading."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """The request first, as uvicorn hands it on; frames from then on."""
        if self._phase == _NEW:
            self._phase = _ASKING
            self._shake_hands(data)
        elif self._phase == _OPEN:
            self._owes = False
            self._read(data)
        else:  # before our answer, or after our close: whatever it is, it is the last
            self._transport.close()

    def shutdown(self) -> None:
        """The server is about to stop."""
        self._end(GOING_AWAY)

    # --- handshake ---

    def _shake_hands(self, head: bytes) -> None:
        line, *lines = head.split(b"\r\n")
        method, target, _ = line.split(b" ", 2)
        headers = [(name, value) for name, _, value in (each.partition(b": ") for each in lines if each)]
        named = dict(headers)
        key = named.get(b"sec-websocket-key", b"")
        if method != b"GET" or not frames.is_key(key):
            self._refuse(HTTPStatus.BAD_REQUEST)
        elif named.get(b"sec-websocket-version") != _VERSION:
            self._refuse(HTTPStatus.UPGRADE_REQUIRED, [(b"sec-websocket-version", _VERSION)])
        else:
            self._key = key
            task = self._loop.create_task(self._run(self._scope(target, headers)))
            self._state.tasks.add(task)
            task.add_done_callback(self._state.tasks.discard)

    def _scope(self, target: bytes, headers: Headers) -> Scope:
        raw_path, _, query = target.partition(b"?")
        return {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": unquote(raw_path.decode("latin-1")),
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": self._transport.get_extra_info("peername"),
            "server": self._transport.get_extra_info("sockname"),
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
        }

    def _refuse(self, status: HTTPStatus, headers: Headers = ()) -> None:
        self._answer(status, [*headers, (b"content-length", b"0"), (b"connection", b"close")])
        self._transport.close()

    def _accept(self, headers: Headers) -> None:
        agreed = [
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-accept", frames.accept_key(self._key)),
        ]
        self._answer(HTTPStatus.SWITCHING_PROTOCOLS, [*agreed, *headers])
        self._phase = _OPEN
        self._await_ping()

    def _answer(self, status: HTTPStatus, headers: Headers) -> None:
        lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode())]
        lines += [name + b": " + value for name, value in (*self._state.default_headers, *headers)]
        self._transport.write(b"\r\n".join(lines) + b"\r\n\r\n")

    # --- the application's side ---

    async def _run(self, scope: Scope) -> None:
        try:
            await self._config.loaded_app(scope, self._receive, self._send)
        finally:
            if self._phase != _CLOSING:
                self._transport.close()

    async def _receive(self) -> Message:
        if self._phase == _ASKING:
            return {"type": "websocket.connect"}
        return {"type": "websocket.disconnect", "code": await self._gone}

    async def _send(self, message: Message) -> None:
        if self._phase == _CLOSING or self._transport.is_closing():
            return
        match message["type"]:
            case "websocket.send":
                self._transport.write(frames.text(message["text"]))
            case "websocket.close":
                self._end(message["code"], message["reason"])
            case "websocket.accept":
                self._accept(message["headers"])
            case "websocket.http.response.start":
                self._answer(HTTPStatus(message["status"]), [*message["headers"], (b"connection", b"close")])
            case "websocket.http.response.body":
                self._transport.write(message["body"])

    # --- frames ---

    def _read(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                self._frames += 1
                if self._frames > MOST_FRAMES:
                    raise frames.Unwelcome(frames.NOT_ASKED)
                self._take(frame)
        except frames.Unwelcome as unwelcome:
            self._end(unwelcome.code)

    def _take(self, frame: frames.Control) -> None:
        if frame.opcode == frames.PING:
            self._transport.write(frames.control(frames.PONG, frame.payload))
        elif frame.opcode == frames.CLOSE:
            self._transport.write(frames.control(frames.CLOSE, frame.payload[:2]))
            self._phase = _CLOSING
            self._transport.close()

    def _await_ping(self) -> None:
        interval_s = self._config.ws_ping_interval
        if interval_s:
            self._timer = self._loop.call_later(interval_s, self._ping)

    def _ping(self) -> None:
        if self._owes:  # nothing was heard since the last one
            self._transport.abort()
            return
        self._owes = True
        self._frames = 0
        self._transport.write(frames.control(frames.PING))
        self._await_ping()

    def _end(self, code: int, reason: str = "") -> None:
        """Say that this is the end, and why; the client has a little time to agree."""
        if self._phase != _OPEN:
            self._transport.close()
            return
        self._phase = _CLOSING
        self._transport.write(frames.close(code, reason))
        self._let_go(code)
        self._timer = self._loop.call_later(CLOSING_S, self._transport.abort)

    def _let_go(self, code: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._gone.done():
            self._gone.set_result(code)
