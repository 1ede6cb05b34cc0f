"""Models over HTTP: sealed asks, and what may be said in the open about them (`spec/llm.md`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qs

from echolia.core.errors import EcholiaError
from echolia.llm.service import LlmService
from echolia.sealed.asks import MEDIA_TYPE
from echolia.web.lean import LeanRequest, LeanResponse, LeanRoute
from echolia.web.relays import Relay, RelayRoute
from echolia.web.sealed_door import BODY_BYTES, SealedDoor

_DAYS: Final = 30
_MOST_DAYS: Final = 400


def _said(summary: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "tags": ["llm"],
        "responses": {
            "200": {
                "description": "See spec/llm.md.",
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        },
    }


def _sealed(summary: str) -> dict[str, Any]:
    body = {"content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
    return {
        "summary": summary,
        "tags": ["llm"],
        "requestBody": {"required": True, **body},
        "responses": {"200": {"description": "See spec/sealed.md and spec/llm.md.", **body}},
    }


def relay_routes(service: LlmService, door: SealedDoor) -> list[RelayRoute]:
    """Where models are asked."""

    def route(path: str, summary: str, whole: bool) -> RelayRoute:
        async def open_relay(request: LeanRequest) -> Relay:
            asked = await door.open(request, path)
            return service.answer(request.caller.account, asked, whole=whole)

        return RelayRoute(path, open_relay, _sealed(summary), "llm", BODY_BYTES, MEDIA_TYPE.encode())

    return [
        route("/llm/generate", "Ask a model, and get its answer whole", True),
        route("/llm/stream", "Ask a model, and get its words as they come", False),
    ]


def lean_routes(service: LlmService, door: SealedDoor) -> list[LeanRoute]:
    """What there is, what may be asked, what was used."""

    async def keys(_: LeanRequest) -> LeanResponse:
        return LeanResponse(body=door.keys())

    async def models(_: LeanRequest) -> LeanResponse:
        return _answer({"models": service.models()})

    async def quota(request: LeanRequest) -> LeanResponse:
        return _answer(await service.quota(request.caller.account))

    async def usage(request: LeanRequest) -> LeanResponse:
        rows = await service.usage(request.caller.account, _days(request))
        return _answer({"usage": [row._asdict() for row in rows]})

    return [
        LeanRoute("GET", "/llm/keys", keys, _said("The keys that asks are sealed to")),
        LeanRoute("GET", "/llm/models", models, _said("The models there are")),
        LeanRoute("GET", "/llm/quota", quota, _said("What this account may ask, and what it has used")),
        LeanRoute("GET", "/llm/usage", usage, _said("What this account's asks took, by day and model")),
    ]


def _answer(said: dict[str, Any] | Sequence[Any]) -> LeanResponse:
    return LeanResponse(body=json.dumps(said, separators=(",", ":")).encode())


def _days(request: LeanRequest) -> int:
    given = parse_qs(request.query.decode("latin-1"), keep_blank_values=True).get("days", [str(_DAYS)])[0]
    if not given.isdecimal() or not given.isascii() or not 1 <= int(given[:6]) <= _MOST_DAYS:
        raise EcholiaError("invalid_request", f"days: 1 to {_MOST_DAYS}")
    return int(given)
