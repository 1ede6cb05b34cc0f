"""The application for any ASGI program: its databases open and close with its lifespan."""

from __future__ import annotations

import asyncio
from pathlib import Path

from starlette.types import Message

from echolia.app import create_app
from echolia.storage.owner_lock import OwnerLock
from tests.support.accounts import Account
from tests.support.asgi import Asker
from tests.support.server import served, settings_for


async def test_it_lives_as_long_as_its_lifespan(tmp_path: Path) -> None:
    app = create_app(settings_for(tmp_path / "data"))
    orders: asyncio.Queue[Message] = asyncio.Queue()
    done: asyncio.Queue[Message] = asyncio.Queue()
    lifespan = asyncio.ensure_future(app({"type": "lifespan"}, orders.get, done.put))
    await orders.put({"type": "lifespan.startup"})
    assert await done.get() == {"type": "lifespan.startup.complete"}
    ask = Asker(app)
    ask.token = (await Account().register(ask))["access"]
    assert (await ask("GET", "/sync/status")).status == 200
    await orders.put({"type": "lifespan.shutdown"})
    assert await done.get() == {"type": "lifespan.shutdown.complete"}
    await lifespan
    OwnerLock(tmp_path / "data").release()


async def test_the_openapi_document_is_the_list_of_all_routes(tmp_path: Path) -> None:
    async with served(tmp_path / "data") as ask:
        paths = (await ask("GET", "/openapi.json")).json()["paths"]
        found = {path: set(methods) for path, methods in paths.items()}
    assert found == {
        "/": {"get"},
        "/health": {"get"},
        "/healthz": {"get"},
        "/readyz": {"get"},
        "/auth/register": {"post"},
        "/auth/challenge": {"post"},
        "/auth/token": {"post"},
        "/auth/refresh": {"post"},
        "/auth/devices": {"get", "post"},
        "/auth/device/{id}": {"delete"},
        "/auth/device/{id}/confirm": {"post"},
        "/auth/rotate": {"post"},
        "/auth/recovery": {"post"},
        "/auth/recovery/devices": {"post"},
        "/auth/key-boxes": {"get"},
        "/auth/account": {"delete"},
        "/auth/pair-device": {"post"},
        "/auth/pair-device/{id}": {"delete"},
        "/auth/pair-device/{id}/messages": {"get", "post"},
        "/auth/pair-device/{id}/confirm": {"post"},
        "/sync/push": {"post"},
        "/sync/pull": {"post"},
        "/sync/ack": {"post"},
        "/sync/status": {"get"},
        "/sync/checkpoint": {"get", "post"},
        "/sync/live": {"get"},
        "/sync/live/ticket": {"post"},
        "/ledger": {"get"},
        "/payments/verify-receipt": {"post"},
        "/payments/subscription": {"get"},
        "/payments/restore": {"post"},
        "/llm/generate": {"post"},
        "/llm/stream": {"post"},
        "/llm/keys": {"get"},
        "/llm/models": {"get"},
        "/llm/quota": {"get"},
        "/llm/usage": {"get"},
        "/embeddings/generate": {"post"},
        "/embeddings/batch": {"post"},
        "/embeddings/models": {"get"},
    }
