"""Embeddings over HTTP: sealed asks, and the models there are (`spec/embeddings.md`)."""

from __future__ import annotations

import json
from typing import Any

from echolia.embeddings.service import EmbeddingService
from echolia.sealed.asks import MEDIA_TYPE
from echolia.web.lean import LeanRequest, LeanResponse, LeanRoute
from echolia.web.relays import Relay, RelayRoute
from echolia.web.sealed_door import BODY_BYTES, SealedDoor


def relay_routes(service: EmbeddingService, door: SealedDoor) -> list[RelayRoute]:
    """Where vectors are asked for."""

    def route(path: str, summary: str, one: bool) -> RelayRoute:
        async def open_relay(request: LeanRequest) -> Relay:
            asked = await door.open(request, path)
            return service.answer(request.caller.account, asked, one=one)

        return RelayRoute(path, open_relay, _sealed(summary), "embeddings", BODY_BYTES, MEDIA_TYPE.encode())

    return [
        route("/embeddings/generate", "The vector of a text", True),
        route("/embeddings/batch", "The vectors of several texts", False),
    ]


def lean_routes(service: EmbeddingService) -> list[LeanRoute]:
    """What there is."""

    async def models(request: LeanRequest) -> LeanResponse:
        told = await service.models(request.caller.account)
        return LeanResponse(body=json.dumps(told, separators=(",", ":")).encode())

    said = {
        "summary": "The models that embed, and what this account may ask of them",
        "tags": ["embeddings"],
        "responses": {
            "200": {
                "description": "See spec/embeddings.md.",
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        },
    }
    return [LeanRoute("GET", "/embeddings/models", models, said)]


def _sealed(summary: str) -> dict[str, Any]:
    body = {"content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
    return {
        "summary": summary,
        "tags": ["embeddings"],
        "requestBody": {"required": True, **body},
        "responses": {"200": {"description": "See spec/sealed.md and spec/embeddings.md.", **body}},
    }
