"""The outermost layer: request ids, limits, errors, the access log, and a straight way to the hot routes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from echolia.core.errors import EcholiaError
from echolia.web.admission import Admission
from echolia.web.asked import SCOPE_KEY, Asked
from echolia.web.bodies import drain, read_body, replayed
from echolia.web.context import Caller, Refusal
from echolia.web.error_responses import problem
from echolia.web.lean import JSON_BODY_BYTES, LeanRequest, LeanResponse, LeanRoute
from echolia.web.limits import Limits, Origins
from echolia.web.logs import METHODS, AccessLog, log_failure
from echolia.web.metrics import Metrics
from echolia.web.streams import (
    MEDIA_TYPE,
    NOT_ASKED,
    EventTeller,
    Feed,
    MessageTeller,
    StreamRequest,
    StreamRoute,
    query_of,
)

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

    def __init__(self, method: str, route: str) -> None:
        # A name for the log, no secret: need not cost a system call.
        self.request_id = f"{random.getrandbits(64):016x}"
        # Any word may arrive as a method where no parser stands before: it is not repeated.
        self.method = method if method in METHODS else "OTHER"
        self.route = route
        self.status = 0
        self.bytes_in = self.bytes_out = 0
        self.complete = False
        self.started = time.perf_counter()


class Rules(NamedTuple):
    """What the gate enforces.

    `open_routes` are the routes that need no token, with the limit each is charged to by the client's
    network, or None for no limit.
    """

    admission: Admission
    limits: Limits
    origins: Origins
    open_routes: Mapping[tuple[str, str], str | None]
    body_seconds: float


class Gate:
    """The ASGI application: `lean` routes and `streams` are answered here, everything else by `api`."""

    def __init__(
        self,
        api: ASGIApp,
        lean: Sequence[LeanRoute],
        rules: Rules,
        journal: Journal,
        on_ending: Sequence[Callable[[], None]] = (),
        streams: Sequence[StreamRoute] = (),
    ) -> None:
        self._api = api
        self._rules = rules
        self._member = rules.admission.member
        self._charge = rules.limits.charge
        self._journal = journal
        self._on_ending = on_ending
        self._streams = {route.path: route for route in streams}
        self._lean: dict[str, dict[str, LeanRoute]] = {}
        for route in lean:
            self._lean.setdefault(route.path, {})[route.method] = route

    def end(self) -> None:
        """Let what waits for news come to its end: the server is about to stop."""
        for callback in self._on_ending:
            callback()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket; other kinds of connection are not spoken here."""
        if scope["type"] == "websocket":
            await self._by_socket(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        if scope["path"] in self._streams:
            await self._by_stream(self._streams[scope["path"]], scope, receive, send)
            return
        methods = self._lean.get(scope["path"])
        if methods is None:
            await self._by_api(scope, receive, send)
            return
        route = methods.get(scope["method"])
        exchange = Exchange(scope["method"], scope["path"])
        try:
            if route is None:
                answer = _not_allowed(exchange, methods)
            else:
                answer = await self._by_lean(route, scope, receive, exchange)
            await _send(answer, exchange, send)
        finally:
            self._journal.note(exchange)

    async def _by_lean(
        self, route: LeanRoute, scope: Scope, receive: Receive, exchange: Exchange
    ) -> LeanResponse:
        headers, unread = dict(scope["headers"]), True
        try:
            caller = self._known(headers.get(b"authorization"), scope)
            self._charge(route.limit, caller.account.hex())
            body, unread = b"", False
            if route.method != "GET":
                body = await read_body(receive, headers, route.max_body_bytes, self._rules.body_seconds)
                exchange.bytes_in = len(body)
            return await route.endpoint(LeanRequest(caller, headers, body, scope["query_string"]))
        except EcholiaError as error:
            if unread:
                await drain(receive, headers)
            return _refused(error, exchange)
        except Exception as error:  # noqa: BLE001  # whatever it was, the client gets an answer
            log_failure(exchange.request_id, exchange.route, "internal", error)
            return _refused(EcholiaError("internal"), exchange)

    def _known(self, authorization: bytes | None, scope: Scope) -> Caller:
        try:
            return self._member(authorization)
        except EcholiaError:
            # A forged token costs a verification: whoever sends many is slowed down by where they come from.
            self._charge("anonymous", self._rules.origins.pseudonym(scope))
            raise

    async def _by_stream(self, route: StreamRoute, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope["method"], route.path)
        try:
            feed = await self._opened(route, scope, receive, exchange)
            if isinstance(feed, LeanResponse):
                await _send(feed, exchange, send)
                return
            outgoing = _decorated(exchange, send)
            start = {"type": "http.response.start", "status": 200}
            try:
                await outgoing({**start, "headers": [(b"content-type", MEDIA_TYPE)]})
                await EventTeller(feed, outgoing).tell(receive)
            finally:
                feed.close()
        finally:
            self._journal.note(exchange)

    async def _by_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._streams.get(scope["path"])
        exchange = Exchange("GET", route.path if route else UNMATCHED)
        try:
            await receive()  # says that it would like to connect
            feed = await self._opened(route, scope, receive, exchange)
            if isinstance(feed, LeanResponse):
                await _refuse_socket(feed, exchange, scope, send)
                return
            exchange.status = 101
            named = [*SECURITY, (b"x-request-id", exchange.request_id.encode())]
            try:
                await send({"type": "websocket.accept", "subprotocol": None, "headers": named})
                await MessageTeller(feed, send).tell(receive)
            finally:
                feed.close()
        finally:
            self._journal.note(exchange)

    async def _opened(
        self, route: StreamRoute | None, scope: Scope, receive: Receive, exchange: Exchange
    ) -> Feed | LeanResponse:
        """The stream that is asked for, or why there is none."""
        headers, unread = dict(scope["headers"]), scope["type"] == "http"
        try:
            if route is None:
                raise EcholiaError("not_found")
            if scope.get("method", route.method) != route.method:
                return _not_allowed(exchange, [route.method])
            query = query_of(scope)
            caller = await self._listener(route, scope, headers, query)
            if unread:
                unread = False
                await read_body(receive, headers, 0, self._rules.body_seconds)
            return await route.open(StreamRequest(caller, headers, query))
        except EcholiaError as error:
            if unread:
                await drain(receive, headers)
            return _refused(error, exchange)
        except Exception as error:  # noqa: BLE001  # whatever it was, the client gets an answer
            log_failure(exchange.request_id, exchange.route, "internal", error)
            return _refused(EcholiaError("internal"), exchange)

    async def _listener(
        self, route: StreamRoute, scope: Scope, headers: Mapping[bytes, bytes], query: Mapping[str, str]
    ) -> Caller:
        """Who asks, by token, or by ticket where there is no token."""
        authorization, ticket = headers.get(b"authorization"), query.get("ticket")
        if authorization is None and ticket is not None:
            # A ticket costs a look into the database, right or wrong.
            self._charge("anonymous", self._rules.origins.pseudonym(scope))
            caller = await route.spend(ticket)
        else:
            caller = self._known(authorization, scope)
        self._charge(route.limit, caller.account.hex())
        return caller

    async def _by_api(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope["method"], UNMATCHED)
        outgoing = _decorated(exchange, send)
        headers, unread = dict(scope["headers"]), True
        try:
            scope[SCOPE_KEY] = self._asked(scope, headers, exchange)
            unread = False
            if b"content-length" in headers or b"transfer-encoding" in headers:
                body = await read_body(receive, headers, JSON_BODY_BYTES, self._rules.body_seconds)
                exchange.bytes_in = len(body)
                receive = replayed(body, receive)
            await self._api(scope, receive, outgoing)
            if exchange.status and not exchange.complete:  # a stream cut short, by us or by its reader
                await outgoing({"type": "http.response.body", "body": b"", "more_body": False})
        except EcholiaError as error:
            if unread:
                await drain(receive, headers)
            await _send(_refused(error, exchange), exchange, send)
        except Exception as error:
            log_failure(exchange.request_id, exchange.route, "internal", error)
            if not exchange.status:
                await _send(_refused(EcholiaError("internal"), exchange), exchange, send)
            elif not exchange.complete:
                raise  # half an answer is out: only ending the connection tells
        finally:
            # The route that was found is one that the server declared: its path is a template.
            exchange.route = getattr(scope.get("route"), "path", UNMATCHED)
            self._journal.note(exchange)

    def _asked(self, scope: Scope, headers: Mapping[bytes, bytes], exchange: Exchange) -> Asked:
        """Charge the request to whom it belongs, and say who asks."""
        rules = self._rules
        place = (scope["method"], scope["path"])
        authorization = headers.get(b"authorization")
        if place in rules.open_routes:
            limit = rules.open_routes[place]
        elif authorization is None:
            limit = "anonymous"
        elif authorization[:8].lower() == b"mailbox ":
            limit = "mailbox"
        else:
            try:
                caller = self._known(authorization, scope)
            except EcholiaError as error:
                if error.code == "rate_limited":
                    raise
                return Asked(exchange.request_id, refusal=error)
            self._charge("account", caller.account.hex())
            return Asked(exchange.request_id, caller)
        if limit is not None:
            self._charge(limit, rules.origins.pseudonym(scope))
        return Asked(exchange.request_id)


async def _refuse_socket(answer: LeanResponse, exchange: Exchange, scope: Scope, send: Send) -> None:
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await _send(answer, exchange, send, "websocket.http.response")
    else:  # a server program that can only say no
        exchange.status = answer.status
        await send({"type": "websocket.close", "code": NOT_ASKED, "reason": ""})


def _not_allowed(exchange: Exchange, methods: Iterable[str]) -> LeanResponse:
    allow = ", ".join(sorted(methods)).encode()
    return _refused(EcholiaError("method_not_allowed"), exchange, [(b"allow", allow)])


def _refused(
    error: EcholiaError, exchange: Exchange, headers: Sequence[tuple[bytes, bytes]] = ()
) -> LeanResponse:
    answer = problem(error, exchange.request_id)
    # A full account is refused by 507 as well: that is no failure of the server's.
    if answer.status >= 500 and error.code != "internal" and not isinstance(error, Refusal):
        log_failure(exchange.request_id, exchange.route, error.code, error)
    (_, media_type), *others = answer.headers
    return LeanResponse(answer.status, media_type, answer.body, [*others, *headers])


async def _send(answer: LeanResponse, exchange: Exchange, send: Send, kind: str = "http.response") -> None:
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


def _decorated(exchange: Exchange, send: Send) -> Callable[[Message], Any]:
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
