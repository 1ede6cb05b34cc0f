"""Devices of several accounts that use a server without a pause, and what it answered each time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import aiohttp

from echolia.core.push import PUSH_TYPE, write_push
from echolia.web.error_responses import STATUS
from tests.support.accounts import Account
from tests.support.runs import Writer

ANSWER_S: Final = 60.0


class Said(NamedTuple):
    """An answer: what was asked for, its status, its error's code or ""."""

    asked: str
    status: int
    code: str


class Device:
    """The first device of an account: it pushes one change after the other, each until it is acknowledged."""

    def __init__(self, crowd: Crowd, seed: str) -> None:
        self.crowd = crowd
        self.account = Account(seed)
        self.token = ""
        self.acknowledged = 0
        first = self.account.first
        self.writer = Writer(self.account.id)
        self.writer.secret, self.writer.public = bytes(first.signing), first.sign
        self.writer.device = first.id

    async def register(self) -> None:
        """Make the account; where an answer was lost it may have been made already, then sign in."""
        while True:
            status, told = await self.crowd.ask("register", "/auth/register", self.account.registration())
            if status == 201:
                self.token = told["tokens"]["access"]
                return
            if told["code"] == "account_exists":
                return
            await asyncio.sleep(0.05)

    async def push(self) -> None:
        """Push one change more until it is acknowledged."""
        self.writer.write(1)
        body = write_push([self.writer.run(first=len(self.writer.changes))])
        status = 0
        while status != 200:
            status, _ = await self.crowd.ask("push", "/sync/push", body, self.token)
            await asyncio.sleep(0.0 if status == 200 else 0.02)
        self.acknowledged += 1

    async def push_always(self) -> None:
        """Push as fast as it goes."""
        while not self.crowd.end.is_set():
            await self.push()

    async def pull_always(self) -> None:
        """Pull what there is, again and again."""
        while not self.crowd.end.is_set():
            await self.crowd.ask("pull", "/sync/pull", {}, self.token)
            await asyncio.sleep(0.01)

    async def head(self) -> int:
        """How many changes the log has."""
        status, told = await self.crowd.ask("status", "/sync/status", None, self.token)
        assert status == 200, told
        return int(told["head"]["seq"])


class Crowd:
    """`count` accounts that push and pull, and others that sign up meanwhile; `said` is how often what."""

    def __init__(self, url: str, client: aiohttp.ClientSession, count: int) -> None:
        self._url = url
        self._client = client
        self.end = asyncio.Event()
        self.said: Counter[Said] = Counter()
        self.devices = [Device(self, f"person {n}") for n in range(count)]
        self.signed_up: list[Device] = []

    async def ask(self, what: str, path: str, body: Any, token: str = "") -> tuple[int, Any]:
        """One request, noted; the status, and the JSON that was answered."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if isinstance(body, bytes):
            headers["Content-Type"] = PUSH_TYPE
            sending = self._client.post(self._url + path, data=body, headers=headers)
        elif body is None:
            sending = self._client.get(self._url + path, headers=headers)
        else:
            sending = self._client.post(self._url + path, json=body, headers=headers)
        async with sending as answer:
            told: Any = await answer.read()
            if "json" in answer.content_type:
                told = await answer.json(content_type=None)
            code = told["code"] if answer.status >= 400 else ""
            self.said[Said(what, answer.status, code)] += 1
            return answer.status, told

    async def sign_up_always(self) -> None:
        """One account after the other."""
        while not self.end.is_set():
            device = Device(self, f"newcomer {len(self.signed_up)}")
            await device.register()
            self.signed_up.append(device)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let them go on until it holds."""
        async with asyncio.timeout(ANSWER_S * 2):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def go_on(self, pushes: int = 3) -> None:
        """Return once each has had so many pushes more acknowledged, and one account more was made."""
        before = [device.acknowledged for device in self.devices]
        made = len(self.signed_up)
        await self.until(
            lambda: (
                len(self.signed_up) > made
                and all(
                    one.acknowledged >= was + pushes for one, was in zip(self.devices, before, strict=True)
                )
            )
        )

    def refusals(self) -> set[tuple[int, str]]:
        """What was answered that was no success."""
        return {(said.status, said.code) for said in self.said if said.status >= 400}

    async def settle(self) -> None:
        """What was acknowledged is there once, and nothing else is; each answer was a documented one."""
        assert [await one.head() for one in self.devices] == [one.acknowledged for one in self.devices]
        for device in self.signed_up:
            if device.token:
                await device.push()
                assert await device.head() == 1
        for said in self.said:
            assert said.status < 500 or said.status in {503, 507}, said
            assert said.status < 400 or STATUS[said.code] == said.status, said


@asynccontextmanager
async def crowded(url: str, count: int = 4) -> AsyncIterator[Crowd]:
    """A crowd that uses the server while the block lasts; then it is settled."""
    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(ANSWER_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:
        crowd = Crowd(url, client, count)
        for device in crowd.devices:
            await device.register()
        async with asyncio.TaskGroup() as using:
            for device in crowd.devices:
                using.create_task(device.push_always())
                using.create_task(device.pull_always())
            using.create_task(crowd.sign_up_always())
            try:
                yield crowd
            finally:
                crowd.end.set()
        await crowd.settle()
