"""Caddy as configured: what it hides, what it hands on, how long it holds things, what it writes down."""

from __future__ import annotations

import asyncio
import json
from asyncio import to_thread
from pathlib import Path

import aiohttp
import pytest

from echolia.core.push import MAX_PUSH_BYTES
from tests.deployment.conftest import StartCaddy
from tests.deployment.processes import get, send
from tests.deployment.upstream import upstream
from tests.support.ports import free_port

pytestmark = pytest.mark.service

INTERNAL = [
    "/metrics", "/metrics/", "/METRICS", "/%6detrics", "/metrics?x=1", "//metrics",
    "/./metrics", "/x/../metrics", "/healthz", "/readyz",
]  # fmt: skip
SPOOFED = {
    "X-Forwarded-For": "203.0.113.7",
    "X-Real-IP": "203.0.113.7",
    "True-Client-IP": "203.0.113.7",
    "CF-Connecting-IP": "203.0.113.7",
    "Forwarded": "for=203.0.113.7",
}
CANARIES = {"Authorization": "Bearer canary-token", "User-Agent": "canary-agent"}


async def test_internal_addresses_do_not_exist_outside(start_caddy: StartCaddy) -> None:
    async with upstream() as behind:
        with start_caddy(behind.port) as caddy:
            for target in INTERNAL:
                status, _, _ = await to_thread(get, caddy.port, target)
                assert status == 404, target
            status, _, _ = await to_thread(get, caddy.port, "/health")
        assert status == 200
        assert len(behind.seen) == 1


async def test_a_client_cannot_name_its_own_address(start_caddy: StartCaddy) -> None:
    async with upstream() as behind:
        with start_caddy(behind.port) as caddy:
            await to_thread(get, caddy.port, "/sync/status", SPOOFED)
        [seen] = behind.seen
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert "203.0.113.7" not in json.dumps(seen)


@pytest.mark.parametrize("media_type", ["text/event-stream", "application/x-ndjson"])
async def test_live_events_pass_as_they_come(start_caddy: StartCaddy, media_type: str) -> None:
    async with upstream() as behind:
        with start_caddy(behind.port) as caddy:
            url = f"http://127.0.0.1:{caddy.port}/sync/live"
            async with (
                aiohttp.ClientSession() as client,
                client.get(url, headers={"Accept": media_type}) as live,
            ):
                first = await asyncio.wait_for(live.content.readuntil(b"\n\n"), 20)
                assert first == b"event: head\ndata: 1\n\n"
                behind.next_frame.set()
                second = await asyncio.wait_for(live.content.readuntil(b"\n\n"), 20)
                assert second == b"event: head\ndata: 2\n\n"


async def test_an_open_stream_does_not_keep_it_from_stopping(start_caddy: StartCaddy) -> None:
    async with upstream() as behind, aiohttp.ClientSession() as client:
        with start_caddy(behind.port) as caddy:
            live = await client.get(
                f"http://127.0.0.1:{caddy.port}/sync/live", headers={"Accept": "text/plain"}
            )
            await asyncio.wait_for(live.content.readuntil(b"\n\n"), 20)
        behind.next_frame.set()
        live.close()


@pytest.mark.parametrize("declared_bytes", [10_000_000, 10**9, 10**15])
async def test_an_oversize_body_is_refused_unread(start_caddy: StartCaddy, declared_bytes: int) -> None:
    async with upstream() as behind:
        with start_caddy(behind.port) as caddy:
            declared = {"Content-Length": str(declared_bytes)}
            status, headers, body = await to_thread(send, caddy.port, "POST", "/sync/push", None, declared)
    assert behind.seen == []
    assert status == 413
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["code"] == "body_too_large"


async def test_the_largest_body_passes(start_caddy: StartCaddy) -> None:
    async with upstream() as behind:
        with start_caddy(behind.port) as caddy:
            _, _, body = await to_thread(send, caddy.port, "POST", "/sync/push", b"x" * MAX_PUSH_BYTES)
    assert json.loads(body) == {"size_bytes": MAX_PUSH_BYTES}


def test_a_dead_server_is_a_problem_said_calmly(start_caddy: StartCaddy) -> None:
    with start_caddy(free_port()) as caddy:
        status, answer, body = get(caddy.port, "/sync/pull?canary=query", CANARIES)
    assert status == 503
    assert answer["content-type"] == "application/problem+json"
    assert int(answer["retry-after"]) > 0
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Service unavailable",
        "status": 503,
        "code": "unavailable",
    }
    assert no_trace_in(caddy.log.read_text())


def test_an_error_nobody_handles_is_logged_without_the_request(
    start_caddy: StartCaddy, repository: Path, tmp_path: Path
) -> None:
    whole = (repository / "Caddyfile").read_text()
    bare, cut, _ = whole.partition("\thandle_errors {")
    assert cut
    careless = tmp_path / "Caddyfile"
    careless.write_text(bare + "}\n")
    with start_caddy(free_port(), careless) as caddy:
        get(caddy.port, "/sync/pull?canary=query", CANARIES)
    log = caddy.log.read_text()
    assert '"level":"error"' in log
    assert no_trace_in(log)


def no_trace_in(log: str) -> bool:
    """Whether a log says nothing about the request that carried CANARIES."""
    return not any(trace in log for trace in ("canary", "remote_ip", "/sync/pull"))


async def test_answers_do_not_name_the_software(start_caddy: StartCaddy) -> None:
    async with upstream() as behind:
        with start_caddy(behind.port) as caddy:
            _, headers, _ = await to_thread(get, caddy.port, "/health")
    assert "server" not in headers
    assert headers["strict-transport-security"].startswith("max-age=")
    assert headers["x-content-type-options"] == "nosniff"
