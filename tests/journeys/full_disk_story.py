"""What a server does on a disk that is full: run by `test_server_full_disk.py`, on a disk of a few MiB."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from echolia.storage.reserve import free_disk_bytes
from tests.support.accounts import Account, Keys
from tests.support.asgi import Answer, Asker
from tests.support.members import Member
from tests.support.server import Clock, served

RESERVE_BYTES = 1 << 20


class Disk:
    """A disk of its own: the server's data folder, and another program that takes the rest."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self._others = folder / "of another program"
        self.clock = Clock()

    @property
    def reserve(self) -> Path:
        """The reserve's file."""
        return self.data / "reserve"

    def leave(self, free_bytes: int) -> None:
        """Leave about so much room."""
        self._others.unlink(missing_ok=True)
        with suppress(OSError), self._others.open("wb", buffering=0) as file:
            for _ in range((free_disk_bytes(self.data.parent) - free_bytes) >> 12):
                file.write(bytes(1 << 12))

    def fill(self) -> None:
        """Take all of it."""
        with suppress(OSError), self._others.open("ab", buffering=0) as file:
            for size in (1 << 12, 1):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))

    @asynccontextmanager
    async def served(self, *members: Member) -> AsyncIterator[Asker]:
        """A server on this disk, whom these members ask."""
        settings = {"disk_reserve_bytes": RESERVE_BYTES, "free_disk_bytes": 0}
        async with served(self.data, self.clock, **settings) as ask:
            for member in members:
                member.ask = ask
            yield ask


def in_short(answer: Answer) -> list[Any]:
    """An answer's status, code and Retry-After."""
    return [answer.status, answer.code, answer.headers.get("retry-after")]


async def each_as_the_first(disk: Disk, anna: Member, ben: Member, phone: Keys) -> dict[str, Any]:
    """What a server that holds its reserve answers to each request as the first on the full disk."""
    asked: dict[str, Callable[[Asker], Awaitable[Answer]]] = {
        "pull": lambda ask: ask("POST", "/sync/pull", {}, token=anna.token),
        "ack": lambda ask: anna.acknowledge(),
        "sign in": anna.account.sign_in,
        "revoke": lambda ask: anna.account.revoke(ask, anna.token, phone),
        "push": lambda ask: anna.push(1 << 16),
        "register": lambda ask: ask("POST", "/auth/register", Account("carol").registration(), token=""),
        "delete": lambda ask: ben.account.delete(ask, ben.token),
    }
    told: dict[str, Any] = {}
    for name, request in asked.items():
        disk.leave(3 * RESERVE_BYTES)
        async with disk.served(anna, ben) as ask:
            assert disk.reserve.exists()
            disk.fill()
            told[name] = in_short(await request(ask))
    return told


async def on_the_reserve(disk: Disk, anna: Member) -> dict[str, Any]:
    """What is answered while the reserve is in use, and whether it comes back."""
    told: dict[str, Any] = {}
    disk.leave(3 * RESERVE_BYTES)
    async with disk.served(anna) as ask:
        disk.fill()
        told["ack"] = (await anna.acknowledge()).status
        told["push"] = in_short(await anna.push())
        told["ready"] = in_short(await ask("GET", "/readyz", token=""))
        told["register"] = in_short(await ask("POST", "/auth/register", Account("carol").registration()))
    disk.leave(RESERVE_BYTES * 3 // 2)
    async with disk.served(anna):
        told["with half as much beside it"] = [disk.reserve.exists(), (await anna.push()).code]
    disk.leave(3 * RESERVE_BYTES)
    async with disk.served(anna):
        told["with room"] = [disk.reserve.exists(), (await anna.push()).code]
    disk.fill()
    async with disk.served(anna):
        told["started full"] = [(await anna.acknowledge()).status, (await anna.push()).code]
    return told


async def story(folder: Path) -> dict[str, Any]:
    """Fill a disk by pushes and by another program, and ask of the server all that matters then."""
    disk, told = Disk(folder), dict[str, Any]()
    disk.leave(4 * RESERVE_BYTES)
    async with disk.served() as ask:
        anna, ben = [await Member(ask, name).register() for name in ("anna", "ben")]
        phone = Keys("phone")
        assert (await anna.account.pair(ask, anna.token, phone)).status == 204
        while (answer := await anna.push(1 << 18)).status == 200:
            pass
        told["pushes end with"] = in_short(answer)
    told["first"] = await each_as_the_first(disk, anna, ben, phone)
    told["later"] = await on_the_reserve(disk, anna)
    return told


if __name__ == "__main__":
    print(json.dumps(asyncio.run(story(Path(sys.argv[1])))))  # noqa: T201  # what the test reads
