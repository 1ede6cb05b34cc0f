"""Accounts that push one change after the other to servers that are killed, and who wrote each of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import aiohttp

from echolia.core.push import PUSH_TYPE, write_push
from tests.support.accounts import Account
from tests.support.runs import Writer

# Notes by which owner each run was written: a trigger of the tests' own in each database.
_TABLE: Final = "CREATE TABLE written_by (seq INTEGER PRIMARY KEY, fence INTEGER NOT NULL)"
_TRIGGER: Final = (
    "CREATE TRIGGER note_owner AFTER INSERT ON runs BEGIN"
    " INSERT INTO written_by SELECT NEW.seq, fence FROM account; END"
)
WRITTEN_BY: Final = (_TABLE, _TRIGGER)


@dataclass
class Person:
    """An account that pushes one change after the other, each until it is acknowledged, to any of `urls`."""

    urls: Sequence[str]
    client: aiohttp.ClientSession
    account: Account
    token: str = ""
    acknowledged: int = 0
    at: list[float] = field(default_factory=list)
    turns: count[int] = field(default_factory=count)

    @property
    def url(self) -> str:
        """The next one's turn."""
        return self.urls[next(self.turns) % len(self.urls)]

    async def register(self) -> None:
        """Make the account."""
        patient = aiohttp.ClientTimeout(60)  # it is asked once
        body = self.account.registration()
        async with self.client.post(f"{self.url}/auth/register", json=body, timeout=patient) as answer:
            assert answer.status == 201, await answer.text()
            self.token = (await answer.json())["tokens"]["access"]

    async def push_until(self, end: asyncio.Event) -> None:
        """Push, as fast as it goes."""
        writer, first = Writer(self.account.id), self.account.first
        writer.secret, writer.public, writer.device = bytes(first.signing), first.sign, first.id
        while not end.is_set():
            writer.write(1)
            await self._acknowledged(write_push([writer.run(first=len(writer.changes))]))
            self.acknowledged += 1
            self.at.append(time.monotonic())

    async def _acknowledged(self, body: bytes) -> None:
        await self._answered("POST", "/sync/push", data=body, headers={"Content-Type": PUSH_TYPE})

    async def _answered(self, method: str, path: str, **asked: Any) -> Any:
        """What is answered at last, by whomever it is."""
        headers = {"Authorization": f"Bearer {self.token}", **asked.pop("headers", {})}
        while True:
            try:
                url = f"{self.url}{path}"
                async with self.client.request(method, url, headers=headers, **asked) as answer:
                    told = await answer.read()
                if answer.status == 200:
                    return json.loads(told)
                assert answer.status == 503, told
            except (aiohttp.ClientError, TimeoutError):
                pass  # whoever had the connection is dead, or does not answer
            await asyncio.sleep(0.01)

    async def is_answered(self) -> bool:
        """Whether somebody answers."""
        async with self.client.get(f"{self.url}/readyz") as answer:
            return answer.status == 200

    async def head(self) -> int:
        """How many changes the log has."""
        return int((await self._answered("GET", "/sync/status"))["head"]["seq"])


@asynccontextmanager
async def people_of(urls: Sequence[str], people: int, patience_s: float = 30) -> AsyncIterator[list[Person]]:
    """Accounts, and connections of theirs to whichever process takes them."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(patience_s)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:
        yield [Person(urls, client, Account(f"person {n}")) for n in range(people)]
