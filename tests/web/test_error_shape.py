"""Every endpoint refuses in one form: a problem document, a stable code, nothing of what was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from echolia.auth import routes as auth_routes
from echolia.core.errors import CODES, EcholiaError
from echolia.storage.engine import DatabaseBusy, StorageFull
from echolia.sync import routes as sync_routes
from echolia.sync.live.endpoints import stream_route, ticket_route
from echolia.web.api import build_api
from echolia.web.error_responses import STATUS, problem
from echolia.web.lean import JSON_BODY_BYTES
from tests.support.accounts import Account
from tests.support.asgi import Answer, Asker

CANARY = "cAnArY-9f27"
MEMBERS = {"type", "title", "status", "code", "detail", "request_id", "errors"}


def documented() -> dict[str, Any]:
    """The OpenAPI document; its routes need no services to be described."""
    nothing: Any = type("Nothing", (), {"pairing": None, "spend": None})()
    lean = [*sync_routes.lean_routes(nothing, nothing), ticket_route(nothing)]
    return build_api([auth_routes.router(nothing)], [*lean, stream_route(nothing, nothing)]).openapi()


def operations(wanted: str = "") -> Iterator[Any]:
    """Each method and path; with `wanted`, only those that have this member."""
    for path, methods in documented()["paths"].items():
        for method, operation in methods.items():
            if not wanted or operation.get(wanted):
                yield pytest.param(method.upper(), path, id=f"{method} {path}")


def check(answer: Answer, code: str) -> None:
    """The document's form, and that nothing of the request is in it."""
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == code, problem
    assert problem["status"] == answer.status == STATUS[code]
    assert problem["type"] == f"urn:echolia:error:{code}"
    assert problem["title"] == CODES[code]
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem.keys() <= MEMBERS
    assert CANARY not in answer.body.decode() + str(answer.headers)
    assert ("retry-after" in answer.headers) == (answer.status in (429, 503, 507))


def target(path: str) -> str:
    """The path with something in it for its parameter."""
    return path.replace("{id}", "A" * 22)


def test_there_are_endpoints() -> None:
    assert {"/auth/register", "/auth/device/{id}", "/sync/push", "/sync/live"} <= documented()["paths"].keys()


@pytest.mark.parametrize(("method", "path"), list(operations("security")))
async def test_without_a_token(ask: Asker, method: str, path: str) -> None:
    body = {"content-type": "application/json"}
    check(await ask(method, target(path), headers=body, body=b"{}"), "unauthorized")
    forged = {**body, "authorization": f"Bearer {CANARY}"}
    check(await ask(method, target(path), headers=forged, body=b"{}"), "unauthorized")


@pytest.mark.parametrize(("method", "path"), list(operations()))
async def test_another_method(ask: Asker, method: str, path: str) -> None:
    answer = await ask("PATCH", target(path), headers={"x-canary": CANARY})
    check(answer, "method_not_allowed")
    assert method in answer.headers["allow"]


JSON_ROUTES = list(operations("requestBody"))
NO_JSON = [
    b'{"a": ',
    b'{"' + CANARY.encode(),
    b"\xff\xfe\xfa",
    b"[" * 30_000,
    b'{"a":' * 10_000,
    CANARY.encode(),
]
OTHER_JSON: list[Any] = [
    [],
    "text",
    {CANARY: CANARY},
    dict.fromkeys(("device", "challenge", "entry", "genesis", "refresh", "side", "runs", "cursor"), CANARY),
    {"genesis": {"entry": CANARY, CANARY: 1, "signatures": {CANARY: CANARY}}, "key_boxes": [{CANARY: 1}]},
    {"entry": 5, "signatures": {CANARY: 5}, "key_boxes": CANARY, "message": None, "epoch": 1.5, "seq": -1},
]


@pytest.mark.parametrize(("method", "path"), JSON_ROUTES)
async def test_what_is_no_json(ask: Asker, anna: Account, method: str, path: str) -> None:
    for body in NO_JSON:
        answer = await ask(method, target(path), body=body, headers={"content-type": "application/json"})
        assert answer.code in ("malformed_json", "invalid_request")
        check(answer, answer.code)


@pytest.mark.parametrize(("method", "path"), JSON_ROUTES)
async def test_json_of_another_form(ask: Asker, anna: Account, method: str, path: str) -> None:
    for body in OTHER_JSON:
        answer = await ask(method, target(path), body)
        assert answer.status == 400
        check(answer, answer.code)
        for error in answer.json().get("errors", []):
            assert error.keys() == {"where", "what"}


@pytest.mark.parametrize(("method", "path"), JSON_ROUTES)
async def test_another_media_type(ask: Asker, anna: Account, method: str, path: str) -> None:
    answer = await ask(method, target(path), body=b"<xml/>", headers={"content-type": "text/xml"})
    # These of sync's routes take their JSON by any name: there it is a body that is none.
    by_any_name = path in ("/sync/pull", "/sync/ack", "/sync/checkpoint")
    check(answer, "malformed_json" if by_any_name else "unsupported_media_type")


@pytest.mark.parametrize(("method", "path"), JSON_ROUTES)
async def test_a_body_that_is_too_large(ask: Asker, anna: Account, method: str, path: str) -> None:
    size = {"/sync/push": 8 << 20, "/sync/checkpoint": 352 << 10}.get(path, JSON_BODY_BYTES) + 1
    check(await ask(method, target(path), body=b" " * size), "body_too_large")
    declared = await ask(method, target(path), body=b"{}", headers={"content-length": str(size)})
    check(declared, "body_too_large")
    undeclared = {"transfer-encoding": "chunked", "content-length": "0"}
    check(await ask(method, target(path), body=b" " * size, headers=undeclared), "body_too_large")


async def test_parameters_are_named_without_their_values(ask: Asker, anna: Account) -> None:
    query = await ask("GET", f"/auth/devices?after={CANARY}")
    check(query, "invalid_request")
    assert query.json()["errors"] == [{"where": "query.after", "what": "int_parsing"}]
    path = await ask("DELETE", f"/auth/device/{CANARY}", {"entry": "", "signatures": {}})
    assert path.json()["errors"] == [{"where": "path.id", "what": "base64url"}]
    check(await ask("GET", f"/auth/key-boxes?recipient={CANARY}"), "invalid_request")


async def test_a_place_is_told_as_far_as_its_names_are_ours(ask: Asker) -> None:
    body = Account().registration()
    body["genesis"]["signatures"] = {CANARY: "?"}
    body["key_boxes"][0]["box"] = "?"
    answer = await ask("POST", "/auth/register", body)
    assert answer.json()["errors"] == [
        {"where": "body.genesis.signatures", "what": "base64url"},
        {"where": "body.key_boxes.0.box", "what": "base64url"},
    ]


async def test_an_unknown_address(ask: Asker) -> None:
    for path in (f"/{CANARY}", "/auth/", "/sync", "/auth/register/", "//auth/register", "/docs", "/redoc"):
        check(await ask("GET", path), "not_found")


def test_a_full_disk_and_a_busy_database_are_told_to_wait() -> None:
    for error, status in ((StorageFull("SQLITE_FULL"), 507), (DatabaseBusy("SQLITE_BUSY"), 503)):
        answer = problem(error, "0" * 16)
        assert answer.status == status
        assert b"retry-after" in dict(answer.headers)
        assert json.loads(answer.body)["code"] == error.code


def test_a_device_s_own_code_never_leaves_the_server() -> None:
    answer = problem(EcholiaError("phrase_invalid", CANARY), "0" * 16)
    assert (answer.status, json.loads(answer.body)["code"]) == (500, "internal")
    assert CANARY.encode() not in answer.body


def test_every_code_of_the_server_has_a_status_and_the_page_says_the_same(repository: Path) -> None:
    page = (repository / "spec" / "errors.md").read_text()
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| `")]
    told = {row[0].strip(" `"): row[1].strip() for row in rows}
    assert told.keys() == CODES.keys()
    assert {code: int(status) for code, status in told.items() if status != "–"} == STATUS
    for row in rows:
        assert row[2].strip() == CODES[row[0].strip(" `")]
