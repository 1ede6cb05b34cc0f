"""Live on a real server over real sockets, with a real client library."""

from __future__ import annotations

import json
import resource
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from echolia.app import running
from echolia.core.ids import b64
from tests.deployment.conftest import serving
from tests.support.loopback import on_loopback
from tests.support.online import closing, online
from tests.support.process import ServerProcess
from tests.support.server import GENEROUS, Clock, settings_for

pytestmark = pytest.mark.slow
SETTINGS = {f"ECHOLIA_{name.upper()}": str(value) for name, value in GENEROUS.items()}


async def test_a_websocket_tells_each_move_and_a_known_head_is_not_told(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        async with online(server.url) as anna, anna.listen() as first:
            assert (await first.receive_json(timeout=30))["seq"] == 0
            head = await anna.push()
            assert await first.receive_json(timeout=30) == head
            known = f"{head['epoch']}.{head['seq']}"
            async with anna.listen() as fresh, anna.listen(f"?after={known}") as knowing:
                assert await fresh.receive_json(timeout=30) == head
                moved = await anna.push()
                for socket in (first, fresh, knowing):
                    assert await socket.receive_json(timeout=30) == moved


async def test_events_go_on_from_the_last(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        async with online(server.url) as anna:
            head = await anna.push()
            named = {**anna.bearer, "Last-Event-ID": f"{head['epoch']}.{head['seq']}"}
            async with anna.client.get(f"{server.url}/sync/live", headers=named) as stream:
                assert await stream.content.readuntil(b"\n\n") == b": alive\n\n"
                moved = await anna.push()
                event = (await stream.content.readuntil(b"\n\n")).decode()
                assert f"id: {moved['epoch']}.{moved['seq']}\n" in event


async def test_the_end_of_a_token_is_the_end_of_its_streams(tmp_path: Path) -> None:
    clock = Clock()
    async with (
        running(settings_for(tmp_path / "data"), clock) as gate,
        on_loopback(gate) as port,
        online(f"http://127.0.0.1:{port}") as anna,
    ):
        clock.pass_s(899.9)  # of its 900
        async with (
            anna.listen() as by_token,
            anna.listen(f"?ticket={await anna.ticket()}") as by_ticket,
            anna.client.get(f"{anna.url}/sync/live", headers=anna.bearer) as by_events,
        ):
            await by_events.content.readuntil(b"\n\n")
            clock.pass_s(1)
            for socket in (by_token, by_ticket):
                await socket.receive_json(timeout=30)
                assert await closing(socket) == (4001, "token_expired")
            assert b"event" not in await by_events.content.read()


async def test_the_server_s_end_is_told(tmp_path: Path) -> None:
    async with AsyncExitStack() as client:
        with serving(tmp_path, settings=SETTINGS) as listener:
            anna = await client.enter_async_context(online(f"http://127.0.0.1:{listener.port}"))
            socket = await client.enter_async_context(anna.listen())
            await socket.receive_json(timeout=30)
        assert await closing(socket) == (1001, "unavailable")
    events = [json.loads(line)["event"] for line in listener.log.read_text().splitlines() if line[0] == "{"]
    assert events[-1] == "server_stopped"
    assert "library" not in events


async def test_no_ticket_is_written_down(tmp_path: Path) -> None:
    with serving(tmp_path, settings={**SETTINGS, "ECHOLIA_LOG_LEVEL": "debug"}) as listener:
        async with online(f"http://127.0.0.1:{listener.port}") as anna:
            tickets = [await anna.ticket() for _ in range(5)]
            for ticket, wrong, status in ((tickets[0], "", 200), (tickets[1], "&after=wrong", 400)):
                async with anna.client.get(f"{anna.url}/sync/live?ticket={ticket}{wrong}") as stream:
                    assert stream.status == status
            async with anna.listen(f"?ticket={tickets[2]}") as socket:
                await socket.receive_json(timeout=30)
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await anna.listen(f"?ticket={tickets[3]}&after=wrong")
    left = everything(tmp_path)
    assert b'"route":"/sync/live","status":101' in left
    assert [ticket for ticket in tickets if ticket.encode() in left] == []
    assert b64(anna.account.id) not in listener.log.read_text()


def test_it_may_have_as_many_connections_as_the_system_lets_it(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        assert soft == hard


def everything(folder: Path) -> bytes:
    """What a server left: its data and its log."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
