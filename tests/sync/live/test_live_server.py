"""Live on a real server process over real sockets, with a real client library."""

from __future__ import annotations

import json
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from echolia.core.ids import b64
from echolia.core.push import PUSH_TYPE, write_push
from tests.deployment.conftest import serving
from tests.support.accounts import Account
from tests.support.process import ServerProcess
from tests.support.runs import Writer
from tests.support.server import GENEROUS

pytestmark = pytest.mark.slow
SETTINGS = {f"ECHOLIA_{name.upper()}": str(value) for name, value in GENEROUS.items()}


@dataclass
class Person:
    """An account, and a client of the server at `url` with its first device's token."""

    url: str
    client: aiohttp.ClientSession
    account: Account
    token: str = ""
    written: int = 0

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer."""
        async with self.client.request(method, self.url + path, json=body, headers=self.bearer) as answer:
            assert answer.status < 300, await answer.text()
            return json.loads(await answer.read() or b"{}")

    @property
    def bearer(self) -> dict[str, str]:
        """The header of the token."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    async def register(self) -> None:
        """Make the account."""
        self.token = (await self.ask("POST", "/auth/register", self.account.registration()))["tokens"][
            "access"
        ]

    async def push(self) -> dict[str, int]:
        """Push one change more; the head after it."""
        writer, first = Writer(self.account.id), self.account.first
        writer.secret, writer.public, writer.device = bytes(first.signing), first.sign, first.id
        self.written += 1
        writer.write(self.written)
        headers = {**self.bearer, "Content-Type": PUSH_TYPE}
        body = write_push([writer.run()])
        async with self.client.post(f"{self.url}/sync/push", data=body, headers=headers) as answer:
            told = await answer.json()
            return {"epoch": told["epoch"], "seq": told["head"]["seq"]}

    def listen(self, query: str = "", **headers: str) -> Any:
        """A WebSocket."""
        named = {**self.bearer, **headers} if "ticket" not in query else headers
        return self.client.ws_connect(f"{self.url}/sync/live{query}", headers=named)

    async def ticket(self) -> str:
        """A ticket."""
        text: str = (await self.ask("POST", "/sync/live/ticket"))["ticket"]
        return text


@pytest.fixture
async def anna() -> AsyncIterator[Callable[[str], Any]]:
    """Registers anna at a server."""
    async with aiohttp.ClientSession() as client:

        async def register(url: str) -> Person:
            person = Person(url, client, Account("anna"))
            await person.register()
            return person

        yield register


async def closing(socket: aiohttp.ClientWebSocketResponse) -> tuple[int, str]:
    """The code and the reason with which the server ends it."""
    message = await socket.receive(timeout=30)
    assert message.type == aiohttp.WSMsgType.CLOSE, message
    return message.data, message.extra or ""


async def test_a_websocket_tells_each_move_and_a_known_head_is_not_told(
    tmp_path: Path, anna: Callable[[str], Any]
) -> None:
    with ServerProcess(tmp_path / "data") as server:
        person = await anna(server.url)
        async with person.listen() as first:
            assert (await first.receive_json(timeout=30))["seq"] == 0
            head = await person.push()
            assert await first.receive_json(timeout=30) == head
            known = f"{head['epoch']}.{head['seq']}"
            async with person.listen(Last_Event_ID="") as fresh, person.listen(f"?after={known}") as knowing:
                assert await fresh.receive_json(timeout=30) == head
                moved = await person.push()
                for socket in (first, fresh, knowing):
                    assert await socket.receive_json(timeout=30) == moved


async def test_events_go_on_from_the_last(tmp_path: Path, anna: Callable[[str], Any]) -> None:
    with ServerProcess(tmp_path / "data") as server:
        person = await anna(server.url)
        head = await person.push()
        known = {"Last-Event-ID": f"{head['epoch']}.{head['seq']}"}
        async with person.client.get(f"{server.url}/sync/live", headers={**person.bearer, **known}) as stream:
            assert await stream.content.readuntil(b"\n\n") == b": alive\n\n"
            moved = await person.push()
            event = (await stream.content.readuntil(b"\n\n")).decode()
            assert f"id: {moved['epoch']}.{moved['seq']}\n" in event


async def test_the_end_says_why(tmp_path: Path, anna: Callable[[str], Any]) -> None:
    with ServerProcess(tmp_path / "data", access_token_seconds="10") as server:
        person = await anna(server.url)
        async with person.listen() as expires, person.listen(f"?ticket={await person.ticket()}") as by_ticket:
            for socket in (expires, by_ticket):
                await socket.receive_json(timeout=30)
                assert await closing(socket) == (4001, "token_expired")


async def test_the_server_s_end_is_told(tmp_path: Path, anna: Callable[[str], Any]) -> None:
    with serving(tmp_path, settings=SETTINGS) as listener:
        person = await anna(f"http://127.0.0.1:{listener.port}")
        open_ones = AsyncExitStack()
        socket = await open_ones.enter_async_context(person.listen())
        await socket.receive_json(timeout=30)
    assert await closing(socket) == (1001, "unavailable")
    await open_ones.aclose()
    events = [json.loads(line)["event"] for line in listener.log.read_text().splitlines() if line[0] == "{"]
    assert events[-1] == "server_stopped"
    assert "library" not in events


async def test_no_ticket_is_written_down(tmp_path: Path, anna: Callable[[str], Any]) -> None:
    settings = {**SETTINGS, "ECHOLIA_LOG_LEVEL": "debug"}
    used = []
    with serving(tmp_path, settings=settings) as listener:
        person = await anna(f"http://127.0.0.1:{listener.port}")
        for refused in (False, True):
            by_socket, by_events = await person.ticket(), await person.ticket()
            wrong = "&after=wrong" if refused else ""
            target = f"{person.url}/sync/live?ticket={by_events}{wrong}"
            async with person.client.get(target) as stream:
                assert stream.status == (400 if refused else 200)
            if refused:
                with pytest.raises(aiohttp.WSServerHandshakeError):
                    await person.listen(f"?ticket={by_socket}{wrong}")
            else:
                async with person.listen(f"?ticket={by_socket}") as socket:
                    await socket.receive_json(timeout=30)
            used += [by_socket, by_events]
        unused = await person.ticket()
    left = everything(tmp_path)
    assert b'"route":"/sync/live","status":101' in left
    for ticket in (*used, unused):
        assert ticket.encode() not in left
    assert b64(person.account.id) not in listener.log.read_text()


def test_it_may_have_as_many_connections_as_the_system_lets_it(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        assert soft == hard


def everything(folder: Path) -> bytes:
    """What a server left: its data and its log."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
