"""A client that plants a canary wherever a request has room for one, and keeps every answer for a search."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from tests.journeys.canary.flock import Flock
from tests.journeys.canary.places import Place
from tests.support.asgi import Answer

ANSWER_S: Final = 60.0
# Headers that a request may carry without changing what it asks for.
IDLE_HEADERS: Final = (
    "X-Request-Id", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Cookie", "User-Agent", "Referer",
    "Origin", "Accept-Language", "If-None-Match", "Idempotency-Key", "traceparent", "tracestate", "baggage",
)  # fmt: skip
_CODE: Final = re.compile(rb'"code": ?"([a-z_]+)"')
# What the final chunk of an answer says that did not come to its end, opened.
SEALED_REFUSAL: Final = "answer refused in the seal"
PUBLIC: Final = ("/", "/health", "/healthz", "/readyz", "/metrics", "/openapi.json")


@dataclass
class Wire:
    """Asks one server; every answer stands in `answers` by the place's name that promises speak of."""

    port: int
    flock: Flock
    answers: dict[str, list[bytes]] = field(default_factory=dict)
    codes: set[str] = field(default_factory=set)
    sealed_codes: set[str] = field(default_factory=set)
    asked: set[tuple[str, str, int]] = field(default_factory=set)
    data: Path = Path()  # the server's folder, where there is one
    _connection: http.client.HTTPConnection | None = None

    def __call__(
        self,
        method: str,
        target: str,
        json_body: Any = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: str = "",
    ) -> Answer:
        """One request with canaries in its query and its idle headers; `headers` win over these."""
        label = f"{method} {target.partition('?')[0]}"
        named: dict[str, str] = {name: self.flock.word(f"{label} {name}") for name in IDLE_HEADERS}
        named["X-Forwarded-For"] += f", {self.flock.address}"
        if json_body is not None:
            body, named["Content-Type"] = json.dumps(json_body).encode(), "application/json"
        if token:
            named["Authorization"] = f"Bearer {token}"
        named.update(headers or {})
        told = quote(self.flock.text(f"{label} query"))
        answer = self._send(method, f"{target}{'&' if '?' in target else '?'}{told}={told}", body, named)
        self._keep(method, target, answer)
        return answer

    def _send(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        for attempt in (0, 1):
            connection = self._connection or http.client.HTTPConnection(
                "127.0.0.1", self.port, timeout=ANSWER_S
            )
            self._connection = connection
            try:
                connection.request(method, target, body, dict(headers))
                got = connection.getresponse()
                found = {name.lower(): value for name, value in got.getheaders()}
                answer = Answer(got.status, found, got.read())
            except (OSError, http.client.HTTPException):
                # The server may close a connection that had a refused body: once more, then it counts.
                self.close()
                if attempt:
                    raise
                continue
            if found.get("connection") == "close" or answer.status in (408, 413):
                self.close()
            return answer
        raise AssertionError("unreachable")

    def _keep(self, method: str, target: str, answer: Answer) -> None:
        path = target.partition("?")[0]
        self.asked.add((method, path, answer.status))
        if answer.status >= 400:
            name = "answer refused"
        else:
            name = f"answer {path}" if path in PUBLIC else f"answer {_role(method, path)}"
        headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        self.keep(name, headers.encode("latin-1") + b"\n" + answer.body)

    def keep(self, name: str, content: bytes) -> None:
        """Keep what came back for the search, and note its codes: a problem's, runs', a final chunk's."""
        self.answers.setdefault(name, []).append(content)
        codes = {code.decode() for code in _CODE.findall(content)}
        if name in ("answer refused", "answer push", SEALED_REFUSAL):
            self.codes |= codes
        if name == SEALED_REFUSAL:
            self.sealed_codes |= codes

    def raw(self, sent: bytes, *, end: bool = True, name: str = "answer refused") -> bytes:
        """Send exactly these bytes on a connection of their own and read until the server closes it.

        `end` says that nothing more will come; without it the server must lose patience by itself.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_S) as connection:
            with contextlib.suppress(OSError):  # a server may answer and close before it has read all
                connection.sendall(sent)
                if end:
                    connection.shutdown(socket.SHUT_WR)
            came = b""
            with contextlib.suppress(ConnectionResetError):
                while chunk := connection.recv(65536):
                    came += chunk
        self.keep(name, came)
        return came

    @contextlib.contextmanager
    def listening(self, token: str = "", query: str = "", **headers: str) -> Iterator[socket.socket]:
        """A live stream that has said its first words or was refused, open while the block runs.

        Without a token the query's ticket must do; a handshake among the `headers` makes it a WebSocket.
        """
        planted = {name: self.flock.word(f"live {name}") for name in IDLE_HEADERS}
        named = {**planted, **headers, **({"Authorization": f"Bearer {token}"} if token else {})}
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
        target = f"/sync/live?{query}&{quote(self.flock.text('live query'))}"
        with socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_S) as connection:
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
            came = b""
            # An event ends with an empty line; a message, or a refusal's document, with its brace.
            while b"\n\n" not in came and not came.endswith(b"}") and (chunk := connection.recv(65536)):
                came += chunk
            status = int(came[9:12])
            self.asked.add(("GET", "/sync/live", status))
            self.keep("answer live" if status < 400 else "answer refused", came)
            yield connection

    def close(self) -> None:
        """End the connection that is kept."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def places(self) -> Iterator[Place]:
        """All answers, by their role."""
        for name, kept in self.answers.items():
            yield from (Place(name, answer) for answer in kept)


def _role(method: str, path: str) -> str:
    """What was asked for, without its ids."""
    known = path.removeprefix("/auth").removeprefix("/sync").removeprefix("/").split("/")
    if known[0] == "pair-device":
        return f"{method} {known[-1] if known[-1] in ('messages', 'confirm') else 'pair-device'}"
    return known[0]
