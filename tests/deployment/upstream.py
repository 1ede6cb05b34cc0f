"""A stand-in upstream behind Caddy that remembers what reached it and answers frame by frame when told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


class Upstream:
    """Listens on loopback at `port`; `seen` holds the headers of each request, names in lower case."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        self.next_frame = asyncio.Event()
        self.port = 0

    async def echo(self, request: web.Request) -> web.Response:
        """Read the whole body, remember the headers, tell how much came."""
        size_bytes = len(await request.read())
        self.seen.append({name.lower(): value for name, value in request.headers.items()})
        return web.json_response({"size_bytes": size_bytes})

    async def live(self, request: web.Request) -> web.StreamResponse:
        """Two frames; the second only once `next_frame` is set, so a buffering proxy would show neither."""
        answer = web.StreamResponse(headers={"Content-Type": request.headers["Accept"]})
        await answer.prepare(request)
        await answer.write(b"event: head\ndata: 1\n\n")
        await self.next_frame.wait()
        await answer.write(b"event: head\ndata: 2\n\n")
        return answer


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """Run an Upstream on a free port for the time of the block."""
    it = Upstream()
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_get("/sync/live", it.live)
    application.router.add_route("*", "/{path:.*}", it.echo)
    runner = web.AppRunner(application, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    it.port = runner.addresses[0][1]
    try:
        yield it
    finally:
        await runner.cleanup()
