"""Accounts whose work is interleaved, cancelled, evicted and dropped, each mark its account's own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from hashlib import sha256

from echolia.storage.databases import UserDatabases
from tests.storage.conftest import run


class Storm:
    """What each account wrote for certain, and whose every mark is that was ever to be written."""

    def __init__(self, databases: UserDatabases, accounts: Sequence[bytes], seed: int = 16) -> None:
        self.written: dict[bytes, set[bytes]] = {account: set() for account in accounts}
        self.owner: dict[object, bytes] = {}
        self._databases = databases
        self._accounts = accounts
        self._dice = random.Random(seed)

    async def blow(self, walkers: int, steps: int) -> None:
        """Let so many walkers go so many steps each."""
        async with asyncio.timeout(120):
            await asyncio.gather(*(self._walk(number, steps) for number in range(walkers)))

    async def _write(self, account: bytes, n: int) -> None:
        mark = sha256(account + n.to_bytes(2, "big")).digest()
        self.owner[mark] = account
        async with self._databases.lease(account) as database:
            database.memory[str(n)] = mark
            await asyncio.sleep(0)
            assert all(self.owner[kept] == account for kept in database.memory.values())
            await database.batch([run(mark, n, device=mark)])
            self.written[account].add(mark)

    async def _walk(self, number: int, steps: int) -> None:
        for n in range(steps):
            task = asyncio.create_task(self._write(self._dice.choice(self._accounts), number * 100 + n))
            if self._dice.random() < 0.3:
                for _ in range(self._dice.randrange(12)):
                    await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()
            if self._dice.random() < 0.05:
                await self._databases.drop(self._dice.choice(self._accounts))
