"""What a server does on a disk that is full: run by `test_server_full_disk.py`, on a disk of a few MiB."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from echolia.core.ids import b64, unb64
from echolia.core.messages import ack_message
from echolia.core.positions import LogPosition
from echolia.core.push import PUSH_TYPE, write_push
from tests.support.accounts import Account, Keys
from tests.support.asgi import Answer, Asker
from tests.support.runs import Writer
from tests.support.server import Clock, served

RESERVE_BYTES = 1 << 20


class Member:
    """An account whose first device writes."""

    def __init__(self, ask: Asker, name: str) -> None:
        self.ask = ask
        self.account = Account(name)
        self.writer = Writer(self.account.id)
        first = self.account.first
        self.writer.secret, self.writer.public, self.writer.device = (
            bytes(first.signing),
            first.sign,
            first.id,
        )
        self.token = ""

    async def register(self) -> Member:
        self.token = (await self.account.register(self.ask))["access"]
        return self

    async def push(self, body_bytes: int = 1 << 16) -> Answer:
        """One more change. A push that was refused is sent again with it."""
        self.writer.write(1, body_bytes)
        status = (await self.ask("GET", "/sync/status", token=self.token)).json()
        first = next((each["counter"] for each in status["devices"]), 0) + 1
        body, headers = write_push([self.writer.run(first)]), {"content-type": PUSH_TYPE}
        return await self.ask("POST", "/sync/push", body=body, headers=headers, token=self.token)

    async def acknowledge(self) -> Answer:
        """The log's head, acknowledged."""
        status = (await self.ask("GET", "/sync/status", token=self.token)).json()
        position = LogPosition(status["epoch"], status["head"]["seq"], unb64(status["head"]["log"]))
        first, head = self.account.first, self.account.log.head
        signature = first.signed(ack_message(self.account.id, first.id, position, 1, head))
        body = {
            "epoch": position.epoch,
            "seq": position.seq,
            "log": b64(position.log),
            "devices": {"n": 1, "head": b64(head)},
            "signature": b64(signature),
        }
        return await self.ask("POST", "/sync/ack", body, token=self.token)


def fill(path: Path) -> None:
    """Take what room is left, as another program would."""
    with suppress(OSError), path.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


async def on_the_full_disk(ask: Asker, anna: Member, ben: Member, phone: Keys) -> dict[str, Any]:
    """What can be done there, in the order of how much it matters."""
    told: dict[str, Any] = {
        "pull": (await ask("POST", "/sync/pull", {}, token=anna.token)).status,
        "ack": (await anna.acknowledge()).status,
        "sign in": (await anna.account.sign_in(ask)).status,
        "revoke": (await anna.account.revoke(ask, anna.token, phone)).status,
        "delete": (await ben.account.delete(ask, ben.token)).status,
    }
    for name, answer in (("push", await anna.push()), ("ready", await ask("GET", "/readyz", token=""))):
        told[name] = [answer.status, answer.code, answer.headers.get("retry-after")]
    registered = await ask("POST", "/auth/register", Account("carol").registration(), token="")
    told["register"] = [registered.status, registered.code]
    return told


async def story(disk: Path) -> dict[str, Any]:
    """Fill the disk by pushes and by another program, act on it, free it, push, fill it, start again."""
    told: dict[str, Any] = {}
    data, others, clock = disk / "data", disk / "of another program", Clock()
    others.write_bytes(bytes(4 * RESERVE_BYTES))
    settings = {"disk_reserve_bytes": RESERVE_BYTES, "free_disk_bytes": 0}
    async with served(data, clock, **settings) as ask:
        anna, ben = [await Member(ask, name).register() for name in ("anna", "ben")]
        phone = Keys("phone")
        assert (await anna.account.pair(ask, anna.token, phone)).status == 204
        while (answer := await anna.push(1 << 18)).status == 200:
            pass
        told["pushes end with"] = [answer.status, answer.code, answer.headers.get("retry-after")]
        fill(others)
        told["full"] = await on_the_full_disk(ask, anna, ben, phone)
        told["reserve is held"] = (data / "reserve").exists()
    others.unlink()
    async with served(data, clock, **settings) as ask:
        anna.ask = ask
        told["freed"] = [(data / "reserve").stat().st_size, (await anna.push(256)).code]
    fill(others)
    async with served(data, clock, **settings) as ask:
        anna.ask = ask
        anna.token = (await anna.account.sign_in(ask)).json()["access"]
        told["started full"] = [(await anna.acknowledge()).status, (await anna.push()).code]
    return told


if __name__ == "__main__":
    print(json.dumps(asyncio.run(story(Path(sys.argv[1])))))  # noqa: T201  # what the test reads
