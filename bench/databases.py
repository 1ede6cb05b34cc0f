"""What one account's database costs: making, opening, leasing, writing, evicting, keeping open.

    .venv/bin/python bench/databases.py --accounts 2000 --open 500 --data ./data/bench

`--data` decides which disk is measured. Prints a table; takes some seconds; removes what it made.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import psutil

from echolia.storage.engine import Statement
from echolia.storage.sqlite.driver import SqliteDriver
from tests.support.file_databases import file_databases

CONNECTIONS = 16
FRAME = os.urandom(5 * 1100)  # five changes of 1 KiB, sealed
HEAD = Statement("SELECT seq, last, chain, log, total_bytes FROM runs ORDER BY seq DESC LIMIT 1")


def run(number: int, frame: bytes = FRAME) -> Statement:
    """A statement that stores a run."""
    return Statement(
        "INSERT INTO runs (changes, device, last, chain, received_ms, log, total_bytes, frame)"
        " VALUES (5, x'00', ?, zeroblob(32), 0, zeroblob(32), 0, ?)",
        (number, frame),
    )


async def rate(
    work: Callable[[bytes], Awaitable[object]], accounts: Sequence[bytes], connections: int = 1
) -> float:
    """How many accounts a second `work` gets through, with so many of them at a time."""
    left = iter(accounts)

    async def serve() -> None:
        for account in left:
            await work(account)

    begun = time.perf_counter()
    await asyncio.gather(*(serve() for _ in range(connections)))
    return len(accounts) / (time.perf_counter() - begun)


class Bench:
    """The measurements, on one set of accounts."""

    def __init__(self, folder: Path, accounts: int, max_open: int) -> None:
        self.accounts = [os.urandom(16) for _ in range(accounts)]
        self.max_open = max_open
        self.folder = folder
        self.driver = SqliteDriver()
        self.databases = file_databases(folder / "users", self.driver, max_open=max_open)
        self.number = 0

    async def create(self, account: bytes) -> None:
        """Make one database, durably."""
        row = Statement("INSERT INTO account (one, account, epoch) VALUES (1, ?, 1)", (account,))
        await self.databases.create(account, [row])

    async def read(self, account: bytes) -> None:
        """Lease and read once."""
        async with self.databases.lease(account) as database:
            await database.batch([HEAD])

    async def lease(self, account: bytes) -> None:
        """Lease and do nothing."""
        async with self.databases.lease(account):
            pass

    async def write(self, account: bytes) -> None:
        """Lease, read the head, store a run, acknowledged when durable."""
        self.number += 1
        async with self.databases.lease(account) as database:
            await database.batch([HEAD, run(self.number)])

    async def rows(self) -> list[tuple[str, str]]:
        """The table: what was measured, and how much it is."""
        hot = self.accounts[: min(self.max_open, 200)]
        table = [("created a second, one at a time", f"{await rate(self.create, self.accounts[:300]):,.0f}")]
        left = self.accounts[300:]
        table += [
            (
                f"created a second, {CONNECTIONS} at a time",
                f"{await rate(self.create, left, CONNECTIONS):,.0f}",
            )
        ]
        size = next((self.folder / "users").glob("??/*.db")).stat().st_size
        table += [("bytes of an empty database", f"{size:,}")]
        table += await self.open_cost()
        table += [
            ("opened, read and evicted a second", f"{await rate(self.read, self.accounts):,.0f}"),
            (
                f"the same, {CONNECTIONS} at a time",
                f"{await rate(self.read, self.accounts, CONNECTIONS):,.0f}",
            ),
        ]
        await rate(self.read, hot)
        for name, work, times in (("leased", self.lease, 50), ("read", self.read, 20)):
            table += [(f"{name} a second, open already", f"{await rate(work, hot * times):,.0f}")]
        table += [
            ("runs stored a second, one account", f"{await rate(self.write, hot[:1] * 1000):,.0f}"),
            (
                f"runs stored a second, {len(hot)} accounts, {CONNECTIONS} at a time",
                f"{await rate(self.write, hot * 20, CONNECTIONS):,.0f}",
            ),
        ]
        await self.databases.close()
        await self.driver.close()
        return table

    async def open_cost(self) -> list[tuple[str, str]]:
        """Memory and descriptors of a database that is open and was written to."""
        await rate(self.write, self.accounts[:20])  # what the first ones cost once and for all
        process = psutil.Process()
        memory, files, opened = process.memory_info().rss, process.num_fds(), self.databases.open_count
        begun = time.perf_counter()
        await rate(self.write, self.accounts[20 : self.max_open])
        seconds = time.perf_counter() - begun
        count = self.databases.open_count - opened
        return [
            ("opened and written a second", f"{count / seconds:,.0f}"),
            (
                "KiB of memory for each open one",
                f"{(process.memory_info().rss - memory) / count / 1024:,.0f}",
            ),
            ("descriptors for each open one", f"{(process.num_fds() - files) / count:.1f}"),
        ]


def main() -> None:
    """Run the measurements in a folder of their own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=1500)
    parser.add_argument("--open", type=int, default=500)
    parser.add_argument("--data", type=Path, default=None)
    words = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="databases-", dir=words.data))
    try:
        table = asyncio.run(Bench(folder, words.accounts, words.open).rows())
    finally:
        shutil.rmtree(folder)
    print(f"| {words.accounts:,} databases, {words.open:,} open | |\n|---|---:|")
    print("\n".join(f"| {name} | {value} |" for name, value in table))


if __name__ == "__main__":
    main()
