"""One request and its answer: what is noted of it, and how the answer goes out."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Final

from starlette.types import Message, Send

from echolia.web.lean import LeanResponse
from echolia.web.logs import METHODS, AccessLog
from echolia.web.metrics import Metrics
from echolia.web.owners import Forwarded

UNMATCHED: Final = "unmatched"
# Every answer says: believe my type, keep nothing, load nothing, tell nobody.
SECURITY: Final[list[tuple[bytes, bytes]]] = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]


class Journal:
    """Where answered requests are noted: the metrics, and the access log if there is one."""

    def __init__(self, metrics: Metrics, access_log: AccessLog | None) -> None:
        self._metrics = metrics
        self._access_log = access_log

    def note(self, who: Exchange) -> None:
        """Note one answered request."""
        seconds = time.perf_counter() - who.started
        sizes = (who.bytes_in, who.bytes_out)
        self._metrics.request(who.route, who.method, who.status, seconds, sizes)
        if self._access_log is not None:
            self._access_log.write(who.request_id, who.method, who.route, who.status, seconds * 1000, sizes)


class Exchange:
    """One request and its answer, as far as they may be told."""

    __slots__ = ("bytes_in", "bytes_out", "complete", "method", "request_id", "route", "started", "status")

    def __init__(self, method: str, route: str, request_id: str | None = None) -> None:
        # A name for the log, no secret: need not cost a system call.
        self.request_id = request_id or f"{random.getrandbits(64):016x}"
        # Any word may arrive as a method where no parser stands before: it is not repeated.
        self.method = method if method in METHODS else "OTHER"
        self.route = route
        self.status = 0
        self.bytes_in = self.bytes_out = 0
        self.complete = False
        self.started = time.perf_counter()


async def send_answer(
    answer: LeanResponse | Forwarded, exchange: Exchange, send: Send, kind: str = "http.response"
) -> None:
    """Send a whole answer, with the headers that every one has; one of another process has them already."""
    if isinstance(answer, Forwarded):
        exchange.status, exchange.bytes_out = answer.status, len(answer.body)
        await send({"type": f"{kind}.start", "status": answer.status, "headers": list(answer.headers)})
        await send({"type": f"{kind}.body", "body": answer.body})
        return
    body = answer.body
    size = len(body) if isinstance(body, bytes) else sum(map(len, body))
    exchange.status, exchange.bytes_out = answer.status, size
    headers = [
        *SECURITY,
        (b"x-request-id", exchange.request_id.encode()),
        (b"content-type", answer.media_type),
        (b"content-length", b"%d" % size),
        *answer.headers,
    ]
    if answer.status == 204:  # has no body, so it has no type and no length (RFC 9110, 8.6)
        del headers[len(SECURITY) + 1 : len(SECURITY) + 3]
    await send({"type": f"{kind}.start", "status": answer.status, "headers": headers})
    if isinstance(body, bytes):
        await send({"type": f"{kind}.body", "body": body})
        return
    for part in body:
        await send({"type": f"{kind}.body", "body": part, "more_body": True})
    await send({"type": f"{kind}.body", "body": b""})


def decorated(exchange: Exchange, send: Send) -> Callable[[Message], Any]:
    """A `send` that adds the headers every answer has and notes what goes by."""

    async def outgoing(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            own = [(b"x-request-id", exchange.request_id.encode()), *SECURITY]
            message["headers"] = [*message.get("headers", ()), *own]
        elif message["type"] == "http.response.body":
            exchange.bytes_out += len(message.get("body", b""))
            exchange.complete = not message.get("more_body", False)
        await send(message)

    return outgoing
