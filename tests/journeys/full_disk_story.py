"""What a server does on a disk that is full: run by `test_server_full_disk.py`, on a disk of a few MiB."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.accounts import Account, Keys
from tests.support.asgi import Asker
from tests.support.members import Member
from tests.support.server import Clock, served

RESERVE_BYTES = 1 << 20


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
    for name, answer in (
        ("push", await anna.push(1 << 16)),
        ("ready", await ask("GET", "/readyz", token="")),
    ):
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
        told["freed"] = [(data / "reserve").stat().st_size, (await anna.push()).code]
    fill(others)
    async with served(data, clock, **settings) as ask:
        anna.ask = ask
        anna.token = (await anna.account.sign_in(ask)).json()["access"]
        told["started full"] = [(await anna.acknowledge()).status, (await anna.push(1 << 16)).code]
    return told


if __name__ == "__main__":
    print(json.dumps(asyncio.run(story(Path(sys.argv[1])))))  # noqa: T201  # what the test reads
