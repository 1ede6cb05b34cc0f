"""The port to a server: one request, one answer; and its stream of head events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: HTTP status, body, how long to wait before asking again, and the server's time in Unix
    milliseconds (0: not said).
    """

    status: int
    body: bytes = field(repr=False)
    retry_after_s: float = 0.0
    date_ms: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked; `authorization` is the whole header's value, or nothing; so is `last_event_id`, of a
    stream.
    """

    method: str
    path: str
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json"
    accept: str = "application/json"
    authorization: str = field(default="", repr=False)
    last_event_id: str = ""
    timeout_s: float = 30.0


class Transport(Protocol):
    """A way to a server; raises `server_unreachable` when no whole answer came."""

    async def ask(self, request: Request) -> Answer:
        """Send a request, wait for its whole answer, whatever its status."""

    def lines(self, request: Request) -> AsyncIterator[str]:
        """The lines of an event stream as they arrive; raises `server_unreachable` when it breaks."""

    def pieces(self, request: Request) -> AsyncGenerator[Answer | bytes, None]:
        """An answer as it arrives: its head as an `Answer` without a body, then its bytes in pieces; or, if
        its status is not 200, one whole `Answer`. Raises `server_unreachable`, also when it breaks.
        """

    async def close(self) -> None:
        """Let go of connections."""
