"""The service's own pages."""

from __future__ import annotations

from pathlib import Path

from echolia import __version__
from tests.support.accounts import Account
from tests.support.asgi import Asker
from tests.support.server import served


async def test_what_this_is(ask: Asker) -> None:
    told = (await ask("GET", "/")).json()
    assert (told["service"], told["version"]) == ("echolia", __version__)
    for link in told["links"].values():
        assert (await ask("GET", link)).status == 200


async def test_alive_and_ready(ask: Asker) -> None:
    assert (await ask("GET", "/health")).json()["version"] == __version__
    assert (await ask("GET", "/healthz")).json() == {"status": "ok"}
    assert (await ask("GET", "/readyz")).json() == {"status": "ready"}


async def test_a_full_disk_is_not_ready_and_still_alive(tmp_path: Path) -> None:
    async with served(tmp_path / "data", free_disk_bytes=2**62) as ask:
        answer = await ask("GET", "/readyz")
        assert (answer.status, answer.code) == (503, "unavailable")
        assert answer.json()["detail"] == "storage_full"
        assert "retry-after" in answer.headers
        assert (await ask("GET", "/healthz")).status == 200


async def test_metrics_count_by_template_and_class(ask: Asker, anna: Account) -> None:
    await ask("GET", "/auth/devices")
    await ask("GET", "/auth/devices", token="bad")
    await ask("GET", "/sync/status")
    told = (await ask("GET", "/metrics", token="")).body.decode()
    assert 'echolia_request_seconds_count{method="GET",route="/auth/devices",status="2xx"} 1.0' in told
    assert 'echolia_request_seconds_count{method="GET",route="/auth/devices",status="4xx"} 1.0' in told
    assert 'echolia_request_seconds_count{method="GET",route="/sync/status",status="2xx"} 1.0' in told
    assert "echolia_databases_open 1.0" in told
    assert "echolia_live_streams 0.0" in told
    for secret in (anna.id.hex(), ask.token, anna.first.id.hex()):
        assert secret not in told


async def test_a_stream_is_counted_while_it_lasts(ask: Asker, anna: Account) -> None:
    async with ask.stream("/sync/live") as stream:
        await stream.until(b"event: head")
        assert b"echolia_live_streams 1.0" in (await ask("GET", "/metrics")).body
    assert b"echolia_live_streams 0.0" in (await ask("GET", "/metrics")).body
