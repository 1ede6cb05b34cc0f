"""An ASGI application on a real loopback socket, by the server program that `echolia serve` uses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from echolia.web.websocket import ListeningSocket


class _Quiet(uvicorn.Server):
    """A server that leaves the test's signals alone."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """None are captured."""
        yield


@asynccontextmanager
async def on_loopback(app: ASGIApp, **changed: Any) -> AsyncIterator[int]:
    """The application served while the block lasts; gives the port. `changed` are uvicorn's settings."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app,
            **{
                "lifespan": "off", "http": "httptools", "ws": ListeningSocket, "log_config": None,
                "access_log": False, "timeout_graceful_shutdown": 5, **changed,
            },
        )  # fmt: skip
        server = _Quiet(config)
        serving = asyncio.create_task(server.serve([listener]))
        while not server.started:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await serving
