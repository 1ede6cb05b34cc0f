"""The documented part of HTTP: FastAPI with this house's errors, its OpenAPI document, and no telemetry of
its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from echolia import __version__
from echolia.core.errors import EcholiaError
from echolia.web.asked import asked
from echolia.web.error_responses import error_of_status, invalid_request, problem
from echolia.web.lean import Documented, document
from echolia.web.logs import log_failure

PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "RFC 9457; see spec/errors.md",
    "required": ["type", "title", "status", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        **{
            name: {"type": "string" if name == "what" else "integer"}
            for name in ("what", "used", "limit", "needed", "reserve")
        },
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"where": {"type": "string"}, "what": {"type": "string"}},
            },
        },
    },
}
_REFUSED: Final = {
    "description": "Refused, or failed: a problem document",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def build_api(routers: Iterable[APIRouter], others: Sequence[Documented]) -> FastAPI:
    """The application of the features' routers, documented together with the routes that are not its own."""
    api = FastAPI(
        title="Echolia",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        # Spans and metrics would carry paths, queries and exception texts once any provider is set.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    for router in routers:
        api.include_router(router)
    # Made when it is first asked for: that takes longer than the rest of a start.
    described = cache(lambda: _described(api, others))
    api.openapi = described  # type: ignore[method-assign]
    _add_error_handlers(api, cache(lambda: _known_names(described())))
    return api


def _described(api: FastAPI, others: Sequence[Documented]) -> dict[str, Any]:
    paths = get_openapi(
        title=api.title, version=api.version, summary="A private sync backend", routes=api.routes
    )
    described = document(paths, others)
    schemas = described.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = PROBLEM_SCHEMA
    for operations in described["paths"].values():
        for operation in operations.values():
            responses = operation.setdefault("responses", {})
            responses.pop("422", None)
            responses.setdefault("default", _REFUSED)
    return described


def _known_names(described: Mapping[str, Any]) -> frozenset[str]:
    """Every name that a request may hold: only these may be repeated in an error."""
    names = {"body", "query", "path", "header"}
    for schema in described["components"]["schemas"].values():
        names.update(schema.get("properties", ()))
    for operations in described["paths"].values():
        for operation in operations.values():
            names.update(parameter["name"] for parameter in operation.get("parameters", ()))
    return frozenset(names)


def _add_error_handlers(api: FastAPI, known_names: Callable[[], frozenset[str]]) -> None:
    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, EcholiaError)
        answer = _answer(request, error)
        if answer.status_code >= 500:
            route = getattr(request.scope.get("route"), "path", "")
            log_failure(asked(request).request_id, route, error.code, error)
        return answer

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        found = error.errors()
        if any(one["loc"] == ("body",) for one in found) and not _sends_json(request):
            return _answer(request, EcholiaError("unsupported_media_type", "send application/json"))
        return _answer(request, invalid_request(found, known_names()))

    async def by_status(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = {"allow": _allowed(api, request)} if error.status_code == 405 else {}
        return _answer(request, error_of_status(error.status_code), headers)

    api.add_exception_handler(EcholiaError, refused)
    api.add_exception_handler(RequestValidationError, invalid)
    api.add_exception_handler(HTTPException, by_status)
    # After this answer Starlette raises the exception again, and the gate logs its type.
    api.add_exception_handler(Exception, _failed)


async def _failed(request: Request, _error: Exception) -> Response:
    return _answer(request, EcholiaError("internal"))


def _sends_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _allowed(api: FastAPI, request: Request) -> str:
    """The methods of the address that was asked; Starlette would name those of one of its routes."""
    path = getattr(request.scope.get("route"), "path", "")
    return ", ".join(sorted(api.openapi()["paths"].get(path, {"get": None}))).upper()


def _answer(request: Request, error: EcholiaError, headers: Mapping[str, str] | None = None) -> Response:
    answer = problem(error, asked(request).request_id)
    own = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(answer.body, answer.status, {**own, **(headers or {})})
