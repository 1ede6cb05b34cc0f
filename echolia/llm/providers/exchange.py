"""One request to a provider and how it went, told by the connection itself.

Each SDK wraps, renames or swallows failures in a way of its own, and keeps the provider's words in its
errors. So the connection, which is below all of them, notes what happened as a code, a status and an id, and
gives the SDKs no body of a refusal at all.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from echolia.core.errors import EcholiaError
from echolia.llm.providers.port import ProviderFailed, at_once

# Of whatever the SDKs say of themselves and of this machine, and of cookies, only these go out.
SENT_HEADERS: Final = frozenset(
    {
        "host", "content-type", "content-length", "transfer-encoding", "accept", "connection",
        "authorization", "x-api-key", "x-goog-api-key", "anthropic-version",
    }
)  # fmt: skip
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_MOST_RETRY_AFTER_S: Final = 86_400.0


class Exchange:
    """What is known of a request: the first failure is the one that counts."""

    def __init__(self, admitted: Callable[[], Awaitable[None]] = at_once) -> None:
        self.admitted = admitted
        self.status = 0
        self.request_id = ""
        self.failure: EcholiaError | None = None
        self._to_close: list[Callable[[], object]] = []

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of an answer came."""
        self.status = status
        said = headers.get("request-id") or headers.get("x-request-id") or ""
        self.request_id = said if _REQUEST_ID.fullmatch(said) else ""

    def failed(self, code: str, retry_after_s: float | None = None) -> EcholiaError:
        """It failed so, unless it had failed before."""
        if self.failure is None:
            self.failure = ProviderFailed(
                code, status=self.status, request_id=self.request_id, retry_after_s=retry_after_s
            )
        return self.failure

    def refused(self, error: EcholiaError) -> None:
        """It may not be asked."""
        self.failure = self.failure or error

    def on_close(self, end: Callable[[], object]) -> None:
        """What to call where the request ends, the last one first."""
        self._to_close.append(end)

    def close(self) -> None:
        """End it at the provider, if it has not ended; a second call does nothing."""
        while self._to_close:
            self._to_close.pop()()


_current: ContextVar[Exchange] = ContextVar("exchange")


@contextmanager
def noted(exchange: Exchange) -> Iterator[None]:
    """Requests of this block are that exchange."""
    token = _current.set(exchange)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Exchange:
    """The exchange of whoever is asking."""
    return _current.get()


def code_of_status(status: int) -> str:
    """What an HTTP status other than 200 means."""
    if status in (401, 403):
        return "upstream_credentials"
    if status == 408:
        return "upstream_timeout"
    if status in (429, 503, 529):
        return "upstream_overloaded"
    if 400 <= status < 500:
        return "upstream_refused"
    if 500 <= status < 600:
        return "upstream_failed"
    return "upstream_malformed"  # a redirect, which nobody follows, or no status that these protocols have


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long to wait, if it is said in seconds or milliseconds."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        said = headers.get(name, "")
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", said, re.ASCII):
            return min(float(said) * scale, _MOST_RETRY_AFTER_S)
    return None
