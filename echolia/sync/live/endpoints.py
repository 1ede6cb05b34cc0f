"""Live over HTTP: where the stream and its tickets are asked for (`spec/sync.md#live`)."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from echolia.core.errors import EcholiaError
from echolia.sync.live.hub import Live, LiveFeed
from echolia.sync.live.listeners import Head
from echolia.sync.live.tickets import Tickets
from echolia.web.lean import LeanRequest, LeanResponse, LeanRoute
from echolia.web.streams import StreamRequest, StreamRoute

PATH: Final = "/sync/live"
_EVENT_ID: Final = re.compile(r"([0-9]{1,16})\.([0-9]{1,16})")
_MOST: Final = 2**53


def _parameter(name: str, place: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": place, "description": description, "schema": {"type": "string"}}


_STREAM: Final[dict[str, Any]] = {
    "summary": "Tell when the log's head moves, as server-sent events or over WebSocket",
    "tags": ["sync"],
    "parameters": [
        _parameter("Last-Event-ID", "header", "the head that is known: <epoch>.<seq>"),
        _parameter("after", "query", "the same, where no header can be set"),
        _parameter("ticket", "query", "a ticket, where no access token can be sent"),
    ],
    "responses": {
        "200": {
            "description": "See spec/sync.md.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
}
_TICKET: Final[dict[str, Any]] = {
    "summary": "Get a ticket that opens one live stream",
    "tags": ["sync"],
    "responses": {
        "200": {
            "description": "See spec/sync.md.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
}


def stream_route(live: Live, tickets: Tickets) -> StreamRoute:
    """The stream itself."""

    async def open_stream(request: StreamRequest) -> LiveFeed:
        return await live.open(request.caller, _known(request))

    return StreamRoute(PATH, open_stream, tickets.spend, _STREAM)


def ticket_route(tickets: Tickets) -> LeanRoute:
    """Where a member gets a ticket."""

    async def issue(request: LeanRequest) -> LeanResponse:
        ticket = await tickets.issue(request.caller)
        told = {"ticket": ticket.text, "expires_in": ticket.expires_in}
        return LeanResponse(200, body=json.dumps(told, separators=(",", ":")).encode())

    return LeanRoute("POST", f"{PATH}/ticket", issue, _TICKET)


def _known(request: StreamRequest) -> Head | None:
    """The head that the client names; its newest word is the header, which browsers add by themselves."""
    named = request.headers.get(b"last-event-id", b"").decode("latin-1") or request.query.get("after", "")
    if not named:
        return None
    found = _EVENT_ID.fullmatch(named)
    head = Head(int(found[1]), int(found[2])) if found else None
    if head is None or max(head) >= _MOST:
        raise EcholiaError("invalid_request", "Last-Event-ID and after are <epoch>.<seq>")
    return head
