"""The gate: lean routes and the framework's get the same care, and a failure tells nobody why."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import structlog
from fastapi import APIRouter
from starlette.types import Message

from echolia.core.errors import EcholiaError
from echolia.storage.engine import StorageFull
from echolia.web.admission import Admission
from echolia.web.api import build_api
from echolia.web.bodies import read_body
from echolia.web.context import Caller, OnEnd, Refusal, Standing
from echolia.web.exchange import SECURITY, Journal
from echolia.web.gate import Gate, Rules
from echolia.web.lean import LeanRequest, LeanResponse, LeanRoute
from echolia.web.limits import Limits
from echolia.web.logs import AccessLog
from echolia.web.metrics import Metrics
from echolia.web.networks import Networks, Origins
from tests.support.asgi import Asker
from tests.support.server import Clock

SECRET = "a-secret-in-an-exception"


class AllDevices:
    """Devices of whom none was revoked, unless told."""

    def __init__(self) -> None:
        self.refused: set[bytes] = set()

    def admits(self, caller: Caller) -> None:
        """Refuse those in `refused`."""
        if caller.device in self.refused:
            raise EcholiaError("device_revoked")

    async def standing(self, account: bytes, device: bytes = b"") -> Standing:
        """Nobody."""
        return Standing({}, {}, 0, b"")

    def on_end(self, callback: OnEnd) -> None:
        """Nobody ends."""


class House:
    """A gate around a few routes, and what it wrote."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.devices = AllDevices()
        self.verified: list[str] = []
        self.log = io.StringIO()
        self.lines = AccessLog(self.log, lambda _, __: None, clock)
        self.metrics = Metrics()
        self.seen: list[LeanRequest] = []

    def gate(self, endpoint: Callable[[LeanRequest], LeanResponse], **rules: Any) -> Asker:
        """The gate, with the endpoint behind lean and behind ordinary routes."""

        async def lean(request: LeanRequest) -> LeanResponse:
            self.seen.append(request)
            return endpoint(request)

        router = APIRouter()

        @router.post("/plain/{name}")
        async def plain(name: str, body: dict[str, int]) -> dict[str, int]:
            endpoint(LeanRequest(Caller(b"", b"", 0), {}, b""))
            return body

        routes = [
            LeanRoute("POST", "/lean", lean, {}, limit="small", max_body_bytes=100),
            LeanRoute("GET", "/lean", lean, {"summary": "read"}),
        ]
        limits = Limits({"account": 100, "anonymous": 5, "small": 10, "mailbox": 10, **rules}, self.clock)
        found = Rules(
            admission=Admission(self._verify, self.devices, self.clock),
            limits=limits,
            networks=Networks(Origins((), self.clock), limits),
            open_routes={},
            body_seconds=0.05,
        )
        api = build_api([router], routes)
        return Asker(Gate(api, routes, found, Journal(self.metrics, self.lines)), token="good")

    def _verify(self, token: str) -> Caller:
        self.verified.append(token)
        if token != "good":
            raise EcholiaError("unauthorized")
        return Caller(b"a" * 16, b"d" * 16, int(self.clock()) + 900)

    def logged(self) -> str:
        """The access log so far."""
        self.lines.flush()
        return self.log.getvalue()


@pytest.fixture
def house(clock: Clock) -> House:
    """Routes behind a gate."""
    return House(clock)


def ok(request: LeanRequest) -> LeanResponse:
    """An endpoint that answers what it got."""
    return LeanResponse(200, b"application/octet-stream", request.body)


def failing(_request: LeanRequest) -> LeanResponse:
    """An endpoint with a fault."""
    raise RuntimeError(SECRET)


async def test_a_lean_route_gets_caller_headers_and_body(house: House) -> None:
    ask = house.gate(ok)
    answer = await ask(
        "POST", "/lean", body=b"bytes", headers={"content-type": "Text/X; a=b", "accept": "a/b"}
    )
    assert (answer.status, answer.body) == (200, b"bytes")
    assert answer.headers["content-type"] == "application/octet-stream"
    (seen,) = house.seen
    assert seen.caller.account == b"a" * 16
    assert seen.media_type == "text/x"
    assert not seen.accepts_json


async def test_parts_are_sent_in_order_as_they_are(house: House) -> None:
    ask = house.gate(lambda _: LeanResponse(200, b"a/b", [b"one", b"", b"two"], [(b"x-own", b"1")]))
    answer = await ask("GET", "/lean")
    assert (answer.body, answer.headers["content-length"], answer.headers["x-own"]) == (b"onetwo", "6", "1")


async def test_no_content_has_no_type_and_no_length(house: House) -> None:
    answer = await house.gate(lambda _: LeanResponse(204))("GET", "/lean")
    assert answer.status == 204
    assert not {"content-type", "content-length"} & answer.headers.keys()


@pytest.mark.parametrize(("method", "path"), [("POST", "/lean"), ("POST", "/plain/x"), ("GET", "/nowhere")])
async def test_every_answer_carries_an_own_request_id_and_the_security_headers(
    house: House, method: str, path: str
) -> None:
    ask = house.gate(ok)
    ids = set()
    for token in ("good", "bad"):
        answer = await ask(method, path, {"a": 1}, headers={"x-request-id": "mine"}, token=token)
        ids.add(answer.headers["x-request-id"])
        assert {name.decode(): value.decode() for name, value in SECURITY}.items() <= answer.headers.items()
    assert len(ids) == 2
    assert "mine" not in ids


@pytest.mark.parametrize("path", ["/lean", "/plain/x"])
async def test_a_fault_is_told_by_its_type_in_the_log_alone(house: House, path: str) -> None:
    with structlog.testing.capture_logs() as logs:
        answer = await house.gate(failing)("POST", path, {"a": 1})
    assert (answer.status, answer.code) == (500, "internal")
    assert SECRET not in answer.body.decode()
    (failure,) = logs
    assert (failure["event"], failure["exception"]) == ("failure", "RuntimeError")
    assert failure["request_id"] == answer.headers["x-request-id"]
    assert SECRET not in str(logs) + house.logged()


@pytest.mark.parametrize(("path", "route"), [("/lean", "/lean"), ("/plain/x", "/plain/{name}")])
async def test_a_failure_of_the_storage_is_logged_by_its_code(house: House, path: str, route: str) -> None:
    def full(_request: LeanRequest) -> LeanResponse:
        raise StorageFull("SQLITE_FULL") from OSError(SECRET)

    with structlog.testing.capture_logs() as logs:
        answer = await house.gate(full)("POST", path, {"a": 1})
    assert (answer.status, answer.code) == (507, "storage_full")
    (failure,) = logs
    assert (failure["code"], failure["exception"], failure["route"]) == ("storage_full", "OSError", route)
    assert SECRET not in str(logs)


async def test_a_full_account_is_no_failure_to_log(house: House) -> None:
    def full(_request: LeanRequest) -> LeanResponse:
        raise Refusal("quota_exceeded", retry_after_s=3600)

    with structlog.testing.capture_logs() as logs:
        answer = await house.gate(full)("POST", "/lean", {"a": 1})
    assert (answer.status, answer.headers["retry-after"], logs) == (507, "3600", [])


@pytest.mark.parametrize("path", ["/lean", "/plain/x"])
async def test_an_expected_error_is_the_same_document_on_both_ways(house: House, path: str) -> None:
    def refusing(_request: LeanRequest) -> LeanResponse:
        raise Refusal("rate_limited", "slower", retry_after_s=7, members={"more": 1})

    answer = await house.gate(refusing)("POST", path, {"a": 1})
    told = answer.json()
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")
    assert (told["code"], told["detail"], told["more"]) == ("rate_limited", "slower", 1)


async def test_a_token_is_verified_once_and_asked_for_each_time(house: House, clock: Clock) -> None:
    ask = house.gate(ok)
    for _ in range(3):
        assert (await ask("GET", "/lean")).status == 200
    assert house.verified == ["good"]
    house.devices.refused.add(b"d" * 16)
    assert (await ask("GET", "/lean")).code == "device_revoked"
    house.devices.refused.clear()
    clock.pass_s(900)
    assert (await ask("GET", "/lean")).code == "token_expired"


async def test_many_forged_tokens_are_slowed_down_by_where_they_come_from(house: House) -> None:
    ask = house.gate(ok)
    forged = [await ask("GET", "/lean", token=f"forged {number}") for number in range(7)]
    assert [answer.status for answer in forged] == [401] * 5 + [429] * 2
    assert (await ask("GET", "/lean")).status == 200


async def test_a_lean_route_has_its_own_limit_by_account(house: House, clock: Clock) -> None:
    ask = house.gate(ok)
    statuses = [(await ask("POST", "/lean", body=b"")).status for _ in range(12)]
    assert statuses == [200] * 10 + [429] * 2
    assert (await ask("GET", "/lean")).status == 200
    clock.pass_s(60)
    assert (await ask("POST", "/lean", body=b"")).status == 200


@pytest.mark.parametrize(("path", "status"), [("/lean", 401), ("/plain/x", 429)])
async def test_a_small_body_is_taken_in_before_it_is_refused(house: House, path: str, status: int) -> None:
    """Who is still sending when the answer comes may never read it."""
    app = house.gate(ok, anonymous=1 if status == 401 else 0).app
    parts = [b"one", b"two", b"three"]
    happened: list[str] = []

    async def receive() -> Message:
        happened.append("received")
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Message) -> None:
        happened.append(str(message.get("status", "sent")))

    headers = [(b"content-length", b"11"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    await app(
        {**scope, "headers": headers, "client": ("127.0.0.1", 1), "server": None, "root_path": ""},
        receive,
        send,
    )
    assert happened == ["received"] * 3 + [str(status), "sent"]


async def test_another_method_names_those_there_are(house: House) -> None:
    answer = await house.gate(ok)("DELETE", "/lean")
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "method_not_allowed", "GET, POST")


async def test_lean_routes_are_documented(house: House) -> None:
    answer = await house.gate(ok)("GET", "/openapi.json")
    told = answer.json()["paths"]["/lean"]
    assert told["get"]["summary"] == "read"
    assert told["get"]["security"] == [{"AccessToken": []}]
    assert "Problem" in str(told["post"]["responses"]["default"])
    assert "HTTPValidationError" not in answer.body.decode()


async def test_log_and_metrics_tell_templates(house: House) -> None:
    ask = house.gate(ok)
    await ask("POST", f"/plain/{SECRET}?q={SECRET}", {"a": 1}, headers={"user-agent": SECRET})
    await ask("GET", f"/{SECRET}")
    await ask(SECRET, "/lean")
    told = house.logged() + house.metrics.render().decode()
    assert '"route":"/plain/{name}","status":200' in told
    assert '"route":"unmatched","status":404' in told
    assert '"method":"OTHER"' in told
    assert SECRET not in told


# --- bodies ---


def messages(parts: Sequence[Message], wait_at: int | None = None) -> Callable[[], Any]:
    """A `receive` that gives these and stops for ever before number `wait_at`."""
    left = list(parts)
    given = 0

    async def receive() -> Message:
        nonlocal given
        if given == wait_at:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        given += 1
        return left.pop(0)

    return receive


def part(body: bytes, more: bool = True) -> Message:
    """A part of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_in_parts() -> None:
    receive = messages([part(b"one"), part(b""), part(b"two", more=False)])
    assert await read_body(receive, {}, 6, 5) == b"onetwo"


@pytest.mark.parametrize("stops_at", [0, 1, 2])
async def test_a_body_that_does_not_come_in_time(stops_at: int) -> None:
    parts = [part(b"a"), part(b"b"), part(b"c", more=False)]
    with pytest.raises(EcholiaError, match="body_too_slow"):
        await read_body(messages(parts, stops_at), {}, 100, 0.01)


async def test_a_body_that_grows_beyond_its_limit_is_read_no_further() -> None:
    parts = [part(b"x" * 60) for _ in range(10)]
    with pytest.raises(EcholiaError, match="body_too_large"):
        await read_body(messages(parts), {}, 100, 5)


async def test_a_client_that_hangs_up() -> None:
    parts: list[Message] = [part(b"x"), {"type": "http.disconnect"}]
    with pytest.raises(EcholiaError, match="invalid_request"):
        await read_body(messages(parts), {}, 100, 5)


async def test_a_slow_body_is_answered_and_its_connection_ends(house: House) -> None:
    ask = house.gate(ok)
    for path in ("/lean", "/plain/x"):
        scope, _ = ask._request("POST", path, None, b"abc", None, None)
        sent: list[Message] = []

        async def send(message: Message, sent: list[Message] = sent) -> None:
            sent.append(message)

        await ask.app(scope, messages([part(b"a"), part(b"b")], wait_at=1), send)
        headers = dict(sent[0]["headers"])
        assert (sent[0]["status"], headers[b"connection"]) == (408, b"close")
