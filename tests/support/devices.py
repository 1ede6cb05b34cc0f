"""Devices of the SDK that talk to a server in this process, and worlds of several of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from echolia.client import Device
from echolia.client.environment import Environment
from echolia.client.transport import Answer, Request
from echolia.core.errors import EcholiaError
from tests.support.asgi import Asker
from tests.support.server import Clock

SERVER = "http://server.test"
# Looks at each exchange: what the device asked and what came back; what it returns is what the device gets.
Meddler = Callable[[Request, Answer], Answer]


def documents(path: str, change: Callable[[dict[str, Any]], None]) -> Meddler:
    """Change the JSON that is answered at a path."""

    def meddle(request: Request, answer: Answer) -> Answer:
        if not request.path.startswith(path) or answer.status != 200:
            return answer
        fields = json.loads(answer.body)
        change(fields)
        return Answer(200, json.dumps(fields).encode())

    return meddle


@dataclass
class InProcess:
    """A `Transport` that asks an ASGI application; `meddle` may change answers, `down` answers nothing.

    What goes to the path `repeated` arrives a second time behind the device's back.
    """

    ask_server: Asker
    meddle: Meddler | None = None
    down: bool = False
    repeated: str = ""
    asked: list[Request] = field(default_factory=list)

    async def ask(self, request: Request) -> Answer:
        """See `Transport.ask`."""
        self.asked.append(request)
        if self.down:
            raise EcholiaError("server_unreachable")
        answer = await answered(self.ask_server, request)
        if request.path == self.repeated:
            await answered(self.ask_server, request)
        return self.meddle(request, answer) if self.meddle else answer

    async def lines(self, request: Request) -> AsyncIterator[str]:
        """See `Transport.lines`."""
        self.asked.append(request)
        token = request.authorization.removeprefix("Bearer ")
        named = {"last-event-id": request.last_event_id} if request.last_event_id else {}
        async with self.ask_server.stream(request.path, token, named) as stream:
            at = 0
            while not stream.ended:
                await stream.news.wait()
                stream.news.clear()
                *whole, rest = stream.answer.body[at:].decode().split("\n")
                at = len(stream.answer.body) - len(rest)
                for line in whole:
                    yield line

    async def pieces(self, request: Request) -> AsyncGenerator[Answer | bytes, None]:
        """See `Transport.pieces`."""
        answer = await self.ask(request)
        if answer.status != 200:
            yield answer
            return
        yield replace(answer, body=b"")
        for at in range(0, len(answer.body), 100):
            yield answer.body[at : at + 100]

    async def close(self) -> None:
        """See `Transport.close`."""


async def answered(ask: Asker, request: Request) -> Answer:
    """What a server answers to a device's request."""
    headers = {"accept": request.accept}
    if request.body:
        headers["content-type"] = request.content_type
    if request.authorization:
        headers["authorization"] = request.authorization
    found = await ask(request.method, request.path, body=request.body or None, headers=headers)
    return Answer(found.status, found.body, float(found.headers.get("retry-after", "0")))


async def _at_once(seconds: float) -> None:
    """Waiting takes no time here."""


def environment(seed: int | str, clock: Clock, skew_ms: int = 0) -> Environment:
    """A device's surroundings: seeded dice, the test's clock shifted by `skew_ms`, no waiting."""
    chance = Random(seed)
    return Environment(
        now_ms=lambda: int(clock.now_s * 1000) + skew_ms,
        dice=chance.randbytes,
        sleep=_at_once,
        jitter=chance.random,
        keychain=lambda: None,
    )


@dataclass
class World:
    """A server, and devices of one account on it."""

    ask: Asker
    clock: Clock
    folder: Path
    stack: AsyncExitStack
    transports: dict[str, InProcess] = field(default_factory=dict)

    def transport(self, name: str) -> InProcess:
        """The named device's way to the server."""
        return self.transports.setdefault(name, InProcess(self.ask))

    def around(self, name: str, skew_ms: int = 0, seed: int | str = "") -> dict[str, Any]:
        """What the named device is opened with; `seed` is its dice's, the name unless given."""
        around = environment(seed or name, self.clock, skew_ms)
        return {"transport": self.transport(name), "environment": around}

    async def first(self, name: str = "laptop", skew_ms: int = 0) -> Device:
        """The account's first device."""
        device, _ = await Device.init(self.folder / name, SERVER, **self.around(name, skew_ms))
        await device.phrase_kept()
        self.stack.push_async_callback(device.aclose)
        return device

    async def added(
        self, owner: Device, name: str = "phone", skew_ms: int = 0, seed: int | str = ""
    ) -> Device:
        """One more device, paired by `owner`."""
        async with owner.pair() as pairing:
            around = self.around(name, skew_ms, seed)
            async with Device.join(self.folder / name, pairing.code, **around) as joining:
                device = await _paired(pairing, joining)
        self.stack.push_async_callback(device.aclose)
        return device

    def pass_s(self, seconds: float = 1) -> None:
        """Let time pass everywhere."""
        self.clock.pass_s(seconds)


async def _paired(pairing: Any, joining: Any) -> Device:
    async with asyncio.TaskGroup() as both:
        guest = both.create_task(pairing.guest())
        digits = await joining.digits()
        await guest
        adding = both.create_task(pairing.confirm(digits))
        device: Device = await joining.finish()
        await adding
    return device


async def joined(laptop: Device, home: Path) -> Device:
    """A second device of the laptop's account."""
    async with laptop.pair() as pairing, Device.join(home, pairing.code) as joining:
        digits = asyncio.create_task(joining.digits())
        await pairing.guest()
        confirming = asyncio.create_task(pairing.confirm(await digits))
        phone = await joining.finish()
        await confirming
    return phone
