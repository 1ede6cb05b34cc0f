"""The real server behind the real Caddy: the same answers outside, the operator's pages only inside."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest

from echolia.client import Device
from echolia.client.llm.answers import Words
from echolia.core.errors import EcholiaError
from tests.deployment.conftest import Listener, StartCaddy, serving
from tests.deployment.processes import get, send
from tests.journeys.canary.encodings import Searcher
from tests.journeys.canary.flock import SECRET, Flock
from tests.journeys.canary.places import Place, files, search
from tests.support.online import online

pytestmark = [pytest.mark.service, pytest.mark.slow]


def test_health_is_public_and_metrics_are_not(server: Listener, start_caddy: StartCaddy) -> None:
    with start_caddy(server.port) as caddy:
        status, _, body = get(caddy.port, "/health")
        assert status == 200
        assert "version" in json.loads(body)
        for target in ("/metrics", "/healthz", "/readyz"):
            assert get(caddy.port, target)[0] == 404, target
            assert get(server.port, target)[0] == 200, target


def test_a_problem_passes_unchanged(server: Listener, start_caddy: StartCaddy) -> None:
    with start_caddy(server.port) as caddy:
        status, headers, body = get(caddy.port, "/sync/status")
    assert status == 401
    assert headers["content-type"].startswith("application/problem+json")
    assert json.loads(body)["code"] == "unauthorized"


def test_an_oversize_body_is_refused_by_the_server_itself(server: Listener) -> None:
    declared = {"Content-Length": str(10**9), "Content-Type": "application/json"}
    status, headers, body = send(server.port, "POST", "/sync/push", None, declared)
    assert status in {401, 413}
    assert headers["content-type"].startswith("application/problem+json")
    assert json.loads(body)["code"] in {"unauthorized", "body_too_large"}


def test_the_server_writes_down_no_address_and_no_query(server: Listener, start_caddy: StartCaddy) -> None:
    with start_caddy(server.port) as caddy:
        get(
            caddy.port,
            "/sync/status?canary=query",
            {"User-Agent": "canary-agent", "X-Forwarded-For": "203.0.113.7"},
        )
        get(server.port, "/canary-path?canary=query", {"X-Forwarded-For": "203.0.113.7"})
        written = caddy.log.read_text() + server.log.read_text()
    assert "canary" not in written
    assert "203.0.113.7" not in written


def test_pretending_to_be_elsewhere_does_not_reset_a_limit(start_caddy: StartCaddy, tmp_path: Path) -> None:
    settings = {"ECHOLIA_TRUSTED_PROXIES": "127.0.0.1", "ECHOLIA_CHALLENGE_PER_MINUTE": "3"}
    asked = json.dumps({"device": urlsafe_b64encode(bytes(16)).decode().rstrip("=")}).encode()
    statuses = []
    with serving(tmp_path, settings=settings) as limited, start_caddy(limited.port) as caddy:
        for number in range(12):
            elsewhere = {"X-Forwarded-For": f"203.0.{number}.7", "Content-Type": "application/json"}
            status, headers, _ = send(caddy.port, "POST", "/auth/challenge", asked, elsewhere)
            statuses.append(status)
    assert set(statuses) == {200, 429}
    assert int(headers["retry-after"]) > 0


async def test_websockets_and_tickets_pass_and_are_not_written_down(
    server: Listener, start_caddy: StartCaddy
) -> None:
    with start_caddy(server.port) as caddy:
        async with online(f"http://127.0.0.1:{caddy.port}", "websocket") as anna:
            ticket = await anna.ticket()
            async with anna.listen() as by_token, anna.listen(f"?ticket={ticket}") as by_ticket:
                for socket in (by_token, by_ticket):
                    assert (await socket.receive_json(timeout=20))["seq"] == 0
                head = await anna.push()
                for socket in (by_token, by_ticket):
                    assert await socket.receive_json(timeout=20) == head
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await anna.listen(f"?ticket={ticket}")
            assert refused.value.status == 401
            known = {**anna.bearer, "Last-Event-ID": f"{head['epoch']}.{head['seq']}"}
            async with anna.client.get(f"{anna.url}/sync/live", headers=known) as stream:
                assert await asyncio.wait_for(stream.content.readuntil(b"\n\n"), 20) == b": alive\n\n"
        written = caddy.log.read_text() + server.log.read_text()
    assert ticket not in written


async def test_an_ask_passes_as_it_comes_and_is_readable_nowhere(
    server: Listener, start_caddy: StartCaddy, tmp_path: Path
) -> None:
    flock = Flock()
    said = flock.text("asked", SECRET)
    with start_caddy(server.port) as caddy:
        device, _ = await Device.init(tmp_path / "device", f"http://127.0.0.1:{caddy.port}")
        async with device:
            told = [event async for event in device.llm.stream(said, model="echo")]
            with pytest.raises(EcholiaError) as refused:
                await device.llm.generate(said, model="nobody")
        left = [Place("log", caddy.log.read_bytes()), Place("server's log", server.log.read_bytes())]
        left += [*files(tmp_path / "config"), *files(tmp_path / "data"), *files(server.log.parent / "data")]
    assert refused.value.code == "model_unknown"
    assert said in "".join(event.text for event in told if isinstance(event, Words))
    assert any(place.name == "file directory.db" for place in left)
    assert search(Searcher(flock), left) == {}


async def test_a_device_hears_of_changes_at_once(
    server: Listener, start_caddy: StartCaddy, tmp_path: Path
) -> None:
    with start_caddy(server.port) as caddy:
        first, _ = await Device.init(tmp_path / "first", f"http://127.0.0.1:{caddy.port}")
        async with first, first.pair() as pairing, Device.join(tmp_path / "second", pairing.code) as joining:
            _, digits = await asyncio.gather(pairing.guest(), joining.digits())
            _, second = await asyncio.gather(pairing.confirm(digits), joining.finish())
            heard = second.watch()
            assert isinstance(heard, AsyncGenerator)
            async with second, aclosing(heard):
                # From the second on, it listens already when the change is made.
                for title in ("one", "two", "three"):
                    written = await first.collection("entries").create({"title": title})
                    await first.sync()
                    while written not in (await asyncio.wait_for(anext(heard), 20)).objects:
                        pass
