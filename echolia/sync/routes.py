"""Sync over HTTP: bytes in, bytes out; the rules are the service's (`spec/sync.md`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from echolia.core import push
from echolia.core.errors import EcholiaError
from echolia.sync import models
from echolia.sync.checkpoints import Checkpoints
from echolia.sync.service import SyncService
from echolia.web.lean import LeanRequest, LeanResponse, LeanRoute

_JSON: Final = "application/json"
_JSON_BYTES: Final = b"application/json"
CHECKPOINT_BODY_BYTES: Final = 352 * 1024
_PAGE_BYTES: Final = push.PAGE_TYPE.encode()
_RESERVE: Final = {
    "name": "reserve",
    "in": "query",
    "description": "1: this push frees room and may have the quota's reserve",
    "schema": {"type": "integer", "enum": [1]},
}


def _content(*types: str) -> dict[str, Any]:
    binary = {"type": "string", "format": "binary"}
    return {each: {"schema": {"type": "object"} if each == _JSON else binary} for each in types}


def _operation(
    summary: str, takes: tuple[str, ...], gives: Mapping[int | str, Any], *parameters: Mapping[str, Any]
) -> dict[str, Any]:
    body = {"requestBody": {"required": True, "content": _content(*takes)}} if takes else {}
    return {"summary": summary, "tags": ["sync"], **body, "parameters": [*parameters], "responses": gives}


def _gives(*types: str) -> dict[int | str, Any]:
    return {"200": {"description": "See spec/sync.md.", "content": _content(*types)}}


def _as_json(value: Any) -> LeanResponse:
    return LeanResponse(200, _JSON_BYTES, json.dumps(value, separators=(",", ":")).encode())


def lean_routes(service: SyncService, checkpoints: Checkpoints) -> list[LeanRoute]:
    """The routes of every sync: push, pull, ack, status; and those of checkpoints."""
    return [*_sync_routes(service), *_checkpoint_routes(checkpoints)]


def _checkpoint_routes(checkpoints: Checkpoints) -> list[LeanRoute]:
    async def put(request: LeanRequest) -> LeanResponse:
        await checkpoints.put(request.caller, *models.read_checkpoint(request.body))
        return LeanResponse(204)

    async def listed(request: LeanRequest) -> LeanResponse:
        return _as_json(await checkpoints.listed(request.caller))

    path = "/sync/checkpoint"
    putting = _operation("Put a signed checkpoint", (_JSON,), {"204": {"description": "Kept."}})
    getting = _operation("The newest checkpoint and the base", (), _gives(_JSON))
    return [
        LeanRoute("POST", path, put, putting, limit="checkpoint", max_body_bytes=CHECKPOINT_BODY_BYTES),
        LeanRoute("GET", path, listed, getting),
    ]


def _sync_routes(service: SyncService) -> list[LeanRoute]:

    async def push_runs(request: LeanRequest) -> LeanResponse:
        match request.media_type:
            case push.PUSH_TYPE:
                frames = push.read_push(request.body)
            case "application/json":
                frames = [memoryview(frame) for frame in models.read_json_push(request.body)]
            case _:
                raise EcholiaError("unsupported_media_type", f"expected {push.PUSH_TYPE} or {_JSON}")
        return _as_json(await service.push(request.caller, frames, models.read_reserve(request.query)))

    async def pull_runs(request: LeanRequest) -> LeanResponse:
        page = await service.pull(request.caller, models.read_pull(request.body))
        if request.accepts_json:
            return _as_json(models.page_json(page))
        parts = [push.page_head(page.more, page.head, len(page.items))]
        for item in page.items:
            parts.append(push.item_head(item.seq, item.received_ms, item.form, len(item.content)))
            parts.append(bytes(item.content))
        return LeanResponse(200, _PAGE_BYTES, b"".join(parts))

    async def put_ack(request: LeanRequest) -> LeanResponse:
        await service.ack(request.caller, models.read_ack(request.body))
        return LeanResponse(204)

    async def status(request: LeanRequest) -> LeanResponse:
        return _as_json(await service.status(request.caller))

    pushed = _operation("Push runs of sealed changes", (push.PUSH_TYPE, _JSON), _gives(_JSON), _RESERVE)
    pulled = _operation("Pull the runs after a cursor", (_JSON,), _gives(push.PAGE_TYPE, _JSON))
    acked = _operation("Acknowledge a verified position", (_JSON,), {"204": {"description": "Kept."}})
    told = _operation("What the server holds of this log", (), _gives(_JSON))
    return [
        LeanRoute("POST", "/sync/push", push_runs, pushed, limit="push", max_body_bytes=push.MAX_PUSH_BYTES),
        LeanRoute("POST", "/sync/pull", pull_runs, pulled, limit="pull"),
        LeanRoute("POST", "/sync/ack", put_ack, acked),
        LeanRoute("GET", "/sync/status", status, told),
    ]
