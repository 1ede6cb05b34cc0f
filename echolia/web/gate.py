"""The outermost layer: request ids, limits, errors, the access log, and a straight way to the hot routes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from echolia.core.errors import EcholiaError
from echolia.web.admission import Admission
from echolia.web.asked import SCOPE_KEY, Asked
from echolia.web.bodies import drain, read_body, replayed
from echolia.web.context import Caller, Refusal
from echolia.web.error_responses import problem
from echolia.web.exchange import SECURITY, UNMATCHED, Exchange, Journal, decorated, send_answer
from echolia.web.lean import JSON_BODY_BYTES, LeanRequest, LeanResponse, LeanRoute
from echolia.web.limits import Limits
from echolia.web.logs import log_failure
from echolia.web.networks import Networks
from echolia.web.owners import HANDED_OVER, HERE, REGISTRAR, Forwarded, Owners, Place, Question
from echolia.web.relays import Relay, RelayRoute, relayed
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

# Headers that speak of the connection to us, and not of the request.
_OF_CONNECTION: Final = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"expect"})


class Rules(NamedTuple):
    """What the gate enforces.

    `open_routes` are the routes that need no token, with the limit each is charged to by the client's
    network, or None for no limit. Of `one_place` are those that one process has to see all of.
    """

    admission: Admission
    limits: Limits
    networks: Networks
    open_routes: Mapping[tuple[str, str], str | None]
    body_seconds: float
    one_place: Collection[tuple[str, str]] = ()


class Who(NamedTuple):
    """Whom a request belongs to: the limit it is charged to, the caller or why there is none.

    `account` is whose owner has to answer it; None where any process can.
    """

    limit: str | None
    caller: Caller | None = None
    refusal: EcholiaError | None = None
    account: bytes | None = None


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
        owners: Owners = HERE,
        relays: Sequence[RelayRoute] = (),
    ) -> None:
        self._api = api
        self._rules = rules
        self._member = rules.admission.member
        self._charge = rules.limits.charge
        self._journal = journal
        self._on_ending = on_ending
        self._owners = owners
        self._streams = {route.path: route for route in streams}
        self._relays = {route.path: route for route in relays}
        self._lean: dict[str, dict[str, LeanRoute]] = {}
        for route in lean:
            self._lean.setdefault(route.path, {})[route.method] = route

    def end(self) -> None:
        """Let what waits for news come to its end: the server is about to stop."""
        for callback in self._on_ending:
            callback()

    async def close(self) -> None:
        """Let go of connections."""
        await self._rules.networks.close()

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
        if scope["path"] in self._relays:
            await self._by_relay(self._relays[scope["path"]], scope, receive, send)
            return
        methods = self._lean.get(scope["path"])
        if methods is None:
            await self._by_api(scope, receive, send)
            return
        route = methods.get(scope["method"])
        exchange = Exchange(scope["method"], scope["path"], scope.get(HANDED_OVER))
        try:
            if route is None:
                answer: LeanResponse | Forwarded = _not_allowed(exchange, methods)
            else:
                answer = await self._by_lean(route, scope, receive, exchange)
            await send_answer(answer, exchange, send)
        finally:
            self._note(exchange, scope)

    def _note(self, exchange: Exchange, scope: Scope) -> None:
        if exchange.route == UNMATCHED:
            # The route that was found is one that the server declared: its path is a template.
            exchange.route = getattr(scope.get("route"), "path", UNMATCHED)
        if HANDED_OVER not in scope:  # else it is noted where it arrived
            self._journal.note(exchange)

    async def _by_lean(
        self, route: LeanRoute, scope: Scope, receive: Receive, exchange: Exchange
    ) -> LeanResponse | Forwarded:
        headers, unread = dict(scope["headers"]), True
        place: Place | None = None
        try:
            caller = await self._known(headers.get(b"authorization"), scope)
            place = self._enter(caller.account, scope)
            if place is not None:
                self._charge(route.limit, caller.account.hex())
            body, unread = b"", False
            if route.method != "GET":
                body = await read_body(receive, headers, route.max_body_bytes, self._rules.body_seconds)
                exchange.bytes_in = len(body)
            if place is None:
                found = await self._elsewhere(caller.account, scope, body, exchange)
                if isinstance(found, Forwarded):
                    return found
                place = found
                self._charge(route.limit, caller.account.hex())
            return await route.endpoint(LeanRequest(caller, headers, body, scope["query_string"]))
        except EcholiaError as error:
            if unread:
                await drain(receive, headers)
            return _refused(error, exchange)
        except Exception as error:  # noqa: BLE001  # whatever it was, the client gets an answer
            log_failure(exchange.request_id, exchange.route, "internal", error)
            return _refused(EcholiaError("internal"), exchange)
        finally:
            if place is not None:
                place.leave()

    def _enter(self, account: bytes, scope: Scope) -> Place | None:
        """The account's place here, if it belongs here; who hands a request over has entered already."""
        return HERE if HANDED_OVER in scope else self._owners.enter(account)

    async def _elsewhere(
        self, account: bytes, scope: Scope, body: bytes, exchange: Exchange
    ) -> Forwarded | Place:
        """The answer of the account's owner, or the account's place here where it has become ours."""
        peer = scope.get("client")
        headers = [(name, value) for name, value in scope["headers"] if name not in _OF_CONNECTION]
        question = Question(
            exchange.request_id, scope["method"], scope["path"], scope["query_string"], headers, body,
            peer[0] if peer else "",
        )  # fmt: skip
        while True:
            answer = await self._owners.forward(account, question)
            if answer is not None:
                return answer
            place = self._owners.enter(account)
            if place is not None:
                return place

    async def _known(self, authorization: bytes | None, scope: Scope) -> Caller:
        try:
            return self._member(authorization)
        except EcholiaError:
            # A forged token costs a verification: whoever sends many is slowed down by where they come from.
            await self._rules.networks.charge("anonymous", scope)
            raise

    async def _by_relay(self, route: RelayRoute, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope["method"], route.path)
        try:
            relay = await self._begun(route, scope, receive, exchange)
            if isinstance(relay, LeanResponse):
                await send_answer(relay, exchange, send)
                return
            outgoing = decorated(exchange, send)
            head = {"type": "http.response.start", "status": 200}
            await outgoing({**head, "headers": [(b"content-type", route.media_type)]})
            await relayed(relay, receive, outgoing)
        finally:
            self._journal.note(exchange)

    async def _begun(
        self, route: RelayRoute, scope: Scope, receive: Receive, exchange: Exchange
    ) -> Relay | LeanResponse:
        """What is to be relayed, or why nothing is."""
        headers, unread = dict(scope["headers"]), True
        try:
            if scope["method"] != route.method:
                return _not_allowed(exchange, [route.method])
            caller = await self._known(headers.get(b"authorization"), scope)
            self._charge(route.limit, caller.account.hex())
            unread = False
            body = await read_body(receive, headers, route.max_body_bytes, self._rules.body_seconds)
            exchange.bytes_in = len(body)
            return await route.open(LeanRequest(caller, headers, body, scope["query_string"]))
        except EcholiaError as error:
            if unread:
                await drain(receive, headers)
            return _refused(error, exchange)
        except Exception as error:  # noqa: BLE001  # whatever it was, the client gets an answer
            log_failure(exchange.request_id, exchange.route, "internal", error)
            return _refused(EcholiaError("internal"), exchange)

    async def _by_stream(self, route: StreamRoute, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope["method"], route.path)
        try:
            feed = await self._opened(route, scope, receive, exchange)
            if isinstance(feed, LeanResponse):
                await send_answer(feed, exchange, send)
                return
            outgoing = decorated(exchange, send)
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
            await self._rules.networks.charge("anonymous", scope)
            caller = await route.spend(ticket)
        else:
            caller = await self._known(authorization, scope)
        self._charge(route.limit, caller.account.hex())
        return caller

    async def _by_api(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope["method"], UNMATCHED, scope.get(HANDED_OVER))
        outgoing = decorated(exchange, send)
        headers, unread = dict(scope["headers"]), True
        place: Place | None = None
        try:
            who = await self._who(scope, headers)
            place = HERE if who.account is None else self._enter(who.account, scope)
            if place is not None:
                await self._charge_to(who, scope)
            unread, body = False, b""
            if b"content-length" in headers or b"transfer-encoding" in headers:
                body = await read_body(receive, headers, JSON_BODY_BYTES, self._rules.body_seconds)
                exchange.bytes_in = len(body)
                receive = replayed(body, receive)
            if place is None and who.account is not None:
                found = await self._elsewhere(who.account, scope, body, exchange)
                if isinstance(found, Forwarded):
                    scope["route"] = found
                    return await send_answer(found, exchange, send)
                place = found
                await self._charge_to(who, scope)
            scope[SCOPE_KEY] = Asked(exchange.request_id, who.caller, who.refusal)
            await self._api(scope, receive, outgoing)
            if exchange.status and not exchange.complete:  # a stream cut short, by us or by its reader
                await outgoing({"type": "http.response.body", "body": b"", "more_body": False})
        except EcholiaError as error:
            if unread:
                await drain(receive, headers)
            await send_answer(_refused(error, exchange), exchange, send)
        except Exception as error:
            log_failure(exchange.request_id, exchange.route, "internal", error)
            if not exchange.status:
                await send_answer(_refused(EcholiaError("internal"), exchange), exchange, send)
            elif not exchange.complete:
                raise  # half an answer is out: only ending the connection tells
        finally:
            if place is not None:
                place.leave()
            self._note(exchange, scope)

    async def _who(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Who:
        """Whom the request belongs to."""
        rules = self._rules
        place = (scope["method"], scope["path"])
        authorization = headers.get(b"authorization")
        if place in rules.open_routes:
            return Who(rules.open_routes[place], account=REGISTRAR if place in rules.one_place else None)
        if authorization is None:
            return Who("anonymous")
        if authorization[:8].lower() == b"mailbox ":
            return Who("mailbox")
        try:
            caller = await self._known(authorization, scope)
        except EcholiaError as error:
            if error.code == "rate_limited":
                raise
            return Who(None, refusal=error)
        return Who("account", caller, account=caller.account)

    async def _charge_to(self, who: Who, scope: Scope) -> None:
        """Charge the request to whom it belongs."""
        if who.caller is not None:
            self._charge("account", who.caller.account.hex())
        elif who.limit is not None:
            await self._rules.networks.charge(who.limit, scope)


async def _refuse_socket(answer: LeanResponse, exchange: Exchange, scope: Scope, send: Send) -> None:
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await send_answer(answer, exchange, send, "websocket.http.response")
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
