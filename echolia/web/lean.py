"""Hot routes without the framework: what they get, what they give, and how they stay documented."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from echolia.web.context import Caller

JSON_BODY_BYTES: Final = 192 * 1024


class LeanRequest:
    """An authenticated request, body read: `caller`, `headers` (lower-case names), `body`, raw `query`."""

    __slots__ = ("body", "caller", "headers", "query")

    def __init__(
        self, caller: Caller, headers: Mapping[bytes, bytes], body: bytes, query: bytes = b""
    ) -> None:
        self.caller = caller
        self.headers = headers
        self.body = body
        self.query = query

    @property
    def media_type(self) -> str:
        """The body's media type in lower case, without parameters; "" if none was sent."""
        return self.headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()

    @property
    def accepts_json(self) -> bool:
        """True if the client asks for JSON rather than for the route's usual form."""
        return b"application/json" in self.headers.get(b"accept", b"")


class LeanResponse:
    """An answer: a status, a media type, a body as bytes or as parts sent in order as they are, further
    headers.
    """

    __slots__ = ("body", "headers", "media_type", "status")

    def __init__(
        self,
        status: int = 200,
        media_type: bytes = b"application/json",
        body: bytes | Sequence[bytes] = b"",
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self.status = status
        self.media_type = media_type
        self.body = body
        self.headers = headers


Endpoint = Callable[[LeanRequest], Awaitable[LeanResponse]]


class LeanRoute(NamedTuple):
    """One authenticated method at one exact path, its entry in the OpenAPI document, and its limits.

    `limit` names a rate limit of `echolia.web.limits`, charged to the account.
    """

    method: str
    path: str
    endpoint: Endpoint
    openapi: Mapping[str, Any]
    limit: str = "account"
    max_body_bytes: int = JSON_BODY_BYTES


class Documented(Protocol):
    """A route that the framework does not know, as far as the OpenAPI document is concerned."""

    @property
    def method(self) -> str:
        """The method."""

    @property
    def path(self) -> str:
        """The path."""

    @property
    def openapi(self) -> Mapping[str, Any]:
        """The operation; its `components` are merged with the document's."""


def document(openapi: dict[str, Any], routes: Iterable[Documented]) -> dict[str, Any]:
    """The OpenAPI document with these routes in it."""
    paths = openapi.setdefault("paths", {})
    components = openapi.setdefault("components", {})
    for route in routes:
        operation = dict(route.openapi)
        for kind, named in operation.pop("components", {}).items():
            components.setdefault(kind, {}).update(named)
        operation.setdefault("security", [{"AccessToken": []}])
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return openapi
