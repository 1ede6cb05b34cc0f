"""Is it there, is it well: the service's own pages, and its metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import APIRouter, Response

from echolia import __version__
from echolia.core.errors import EcholiaError
from echolia.web.metrics import MEDIA_TYPE
from echolia.web.scraping import Scrape

PATHS: Final = ("/", "/health", "/healthz", "/readyz", "/metrics", "/openapi.json")


def router(scrape: Scrape, ready: Callable[[], Awaitable[None]]) -> APIRouter:
    """The routes; `ready` raises an `EcholiaError` while the server cannot serve."""
    routes = APIRouter(tags=["service"])

    @routes.get("/", summary="What this is")
    async def index() -> dict[str, object]:
        links = {"openapi": "/openapi.json", "health": "/health"}
        return {"service": "echolia", "version": __version__, "links": links}

    @routes.get("/health", summary="Service and version")
    async def health() -> dict[str, str]:
        return {"service": "echolia", "version": __version__, "status": "ok"}

    @routes.get("/healthz", summary="Alive")
    async def alive() -> dict[str, str]:
        return {"status": "ok"}

    @routes.get("/readyz", summary="Ready: databases, migrations, disk")
    async def readiness() -> dict[str, str]:
        try:
            await ready()
        except EcholiaError as error:
            raise EcholiaError("unavailable", error.code) from error
        return {"status": "ready"}

    @routes.get("/metrics", include_in_schema=False)
    async def numbers() -> Response:
        return Response(await scrape.text(), media_type=MEDIA_TYPE)

    return routes
