"""Somebody online: an account whose first device asks a server over real sockets, by a real library."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from echolia.core.push import PUSH_TYPE, write_push
from tests.support.accounts import Account
from tests.support.runs import Writer


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
        answer = await self.ask("POST", "/auth/register", self.account.registration())
        self.token = answer["tokens"]["access"]

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

    def listen(self, query: str = "") -> aiohttp.client._WSRequestContextManager:
        """A WebSocket, by the token unless the query brings a ticket."""
        named = {} if "ticket" in query else self.bearer
        return self.client.ws_connect(f"{self.url}/sync/live{query}", headers=named)

    async def ticket(self) -> str:
        """A ticket."""
        text: str = (await self.ask("POST", "/sync/live/ticket"))["ticket"]
        return text


@asynccontextmanager
async def online(url: str, name: str = "anna") -> AsyncIterator[Person]:
    """Somebody with a new account on the server at `url`."""
    async with aiohttp.ClientSession() as client:
        person = Person(url, client, Account(name))
        await person.register()
        yield person


async def closing(socket: aiohttp.ClientWebSocketResponse[bool]) -> tuple[int, str]:
    """The code and the reason with which the server ends it."""
    message = await socket.receive(timeout=30)
    assert message.type == aiohttp.WSMsgType.CLOSE, message
    return message.data, message.extra or ""
