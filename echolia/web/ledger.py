"""`GET /ledger`: all that the server has of the account that asks, gathered from every feature."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from echolia.core.errors import EcholiaError
from echolia.web.context import Fact, Keeper, facts_of
from echolia.web.lean import LeanRequest, LeanResponse, LeanRoute
from echolia.web.limits import Limits
from echolia.web.logs import EVENTS, REQUEST_FIELDS

# Gathering that takes longer is given up: it must not hold up anybody's sync.
LONGEST_S: Final = 10.0
_OPENAPI: Final[dict[str, Any]] = {
    "summary": "What the server has of this account",
    "tags": ["service"],
    "responses": {
        "200": {
            "description": "See spec/ledger.md.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
}
_OF_ALL: Final = "not kept by account"
# Place → what it is, and why it is needed.
WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "memory.limits.account": (
        "requests in the running minute",
        "Nobody takes the server from the others. Forgotten after a minute.",
    ),
    "memory.limits.network": (
        "requests of your network in the running minute, under a pseudonym of the day, in Redis too if used",
        "The same, where nobody has said who they are.",
    ),
    "memory.metrics": (
        "how many requests there were and how long they took",
        "Whoever runs the server sees whether it is well.",
    ),
    "memory.connection": (
        "your network address, while a connection lasts",
        "Answers have to arrive.",
    ),
    "log.request": (
        "a line for each request, without ids or addresses",
        "Shows what fails and what is slow.",
    ),
    "log.failure": ("a line for each failure of the server's own, likewise", "Helps to find out why."),
}


@dataclass(frozen=True, slots=True)
class RequestLedger:
    """A `web.context.Keeper`: what requests leave in memory and in the log."""

    limits: Limits

    async def facts(self, account: bytes) -> list[Fact]:
        """See `Keeper.facts`."""
        values: dict[str, Any] = {
            "memory.limits.account": self.limits.running(account.hex()),
            "memory.limits.network": _OF_ALL,
            "memory.metrics": _OF_ALL,
            "memory.connection": "not written down",
            "log.request": list(REQUEST_FIELDS),
            "log.failure": ["event", "level", "at", *EVENTS["failure"], "exception"],
        }
        return facts_of(WORDS, values)


def lean_route(keepers: Sequence[Keeper], longest_s: float = LONGEST_S) -> LeanRoute:
    """The route; it answers `unavailable` where gathering takes longer than `longest_s` seconds."""

    async def ledger(request: LeanRequest) -> LeanResponse:
        facts: list[Fact] = []
        try:
            async with asyncio.timeout(longest_s):
                for keeper in keepers:
                    facts += await keeper.facts(request.caller.account)
        except TimeoutError:
            raise EcholiaError("unavailable", "the ledger took too long") from None
        told = {"facts": [fact._asdict() for fact in facts]}
        return LeanResponse(body=json.dumps(told, separators=(",", ":")).encode())

    return LeanRoute("GET", "/ledger", ledger, _OPENAPI, limit="ledger")
