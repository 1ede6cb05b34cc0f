"""An HTTP server on a free loopback port, in threads of its own, that fails on demand."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came; names of headers in lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def steps(self) -> list[str]:
        """The path's steps, unescaped."""
        return [unquote(step) for step in self.path.split("/")[1:]]

    def first(self, name: str) -> str:
        """A value of the query, or ""."""
        return self.query.get(name, [""])[0]

    def document(self) -> Mapping[str, object]:
        """The body's JSON object; {} for anything else."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Answered:
    """What is answered. Status 0 is no answer at all: the connection is closed."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, document: object, status: int = 200) -> Answered:
        """JSON."""
        return cls(status, json.dumps(document).encode())


HANG_UP: Final = Answered(0)
_POLL_S: Final = 0.02


class LoopbackServer:
    """Answers by `answer` while the block lasts; `will` says what comes before that."""

    def __init__(self, answer: Callable[[Asked], Answered]) -> None:
        self.asked: list[Asked] = []
        self._answer = answer
        self._planned: deque[Answered] = deque()
        self._serving: tuple[ThreadingHTTPServer, Thread] | None = None

    @property
    def url(self) -> str:
        """Where it is, without a slash at its end."""
        assert self._serving is not None, "it has an address while its block lasts"
        return f"http://127.0.0.1:{self._serving[0].server_port}"

    def will(self, *answers: Answered) -> None:
        """Answer the next requests so, whatever they are."""
        self._planned.extend(answers)

    def answer(self, asked: Asked) -> Answered:
        """The answer to a request."""
        self.asked.append(asked)
        try:
            return self._planned.popleft()
        except IndexError:
            return self._answer(asked)

    def __enter__(self) -> Self:
        http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        http.daemon_threads = True
        thread = Thread(target=http.serve_forever, args=(_POLL_S,), daemon=True)
        thread.start()
        self._serving = (http, thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._serving is not None:
            http, thread = self._serving
            http.shutdown()
            thread.join()
            http.server_close()


def _handler(server: LoopbackServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(
                self.command, parts.path, parse_qs(parts.query), headers, self.rfile.read(length)
            )  # fmt: skip
            answered = server.answer(asked)
            if answered.status:
                self._send(answered)

        def _send(self, answered: Answered) -> None:
            self.send_response(answered.status)
            self.send_header("content-type", answered.content_type)
            self.send_header("content-length", str(len(answered.body)))
            for name, value in answered.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answered.body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is logged: requests hold tokens."""

        do_GET = do_POST = do_PUT = handle_any  # noqa: N815  # names of the standard library

    return Handler
