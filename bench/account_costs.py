"""What an account costs beside its own database: rows of the directory, refreshes, what each start looks at.

    .venv/bin/python -m bench.account_costs

Starts a PostgreSQL of its own on a loopback port and ends it. Prints a table; takes under a minute.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from bench.directory_engines import AT_ONCE, find
from echolia.core.ids import b64
from echolia.storage.databases import owner
from echolia.storage.sqlite.user_files import sweep
from tests.support.accounts import Account, Keys, entry_json
from tests.support.asgi import Asker
from tests.support.postgres import Postgres
from tests.support.process import ServerProcess
from tests.support.server import served
from tests.support.two_places import two_places

PEOPLE, REFRESHES, FILES, ROWS = 300, 8, 20_000, 1_000_000
MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations" / "directory"


def size(folder: Path) -> int:
    """Bytes of a directory that nobody has open."""
    return (folder / "directory.db").stat().st_size


async def rate(work: Callable[[Any], Awaitable[object]], of: Iterable[Any]) -> float:
    """How many a second `work` gets through, many at once."""
    waiting = list(of)
    count, begun = len(waiting), time.perf_counter()

    async def serve() -> None:
        while waiting:
            await work(waiting.pop(0))

    await asyncio.gather(*(serve() for _ in range(AT_ONCE)))
    return count / (time.perf_counter() - begun)


class People:
    """Accounts and the tokens of their first devices."""

    def __init__(self, prefix: str) -> None:
        self.accounts = [Account(f"{prefix} {number}") for number in range(PEOPLE)]
        self.tokens: dict[str, dict[str, Any]] = {}

    async def register(self, ask: Asker) -> None:
        """Make all of them."""
        for account in self.accounts:
            self.tokens[account.seed] = await account.register(ask)

    async def add_devices(self, ask: Asker) -> None:
        """One more device each, with its key box, signed in."""
        for account in self.accounts:
            device = Keys(f"{account.seed} 1")
            account.devices.append(device)
            body = {**entry_json(account.add_entry(device)), "key_boxes": [account.key_box(b64(device.id))]}
            answer = await ask("POST", "/auth/devices", body, token=self.tokens[account.seed]["access"])
            assert answer.status < 300, answer.body
            assert (await account.sign_in(ask, device)).status == 200

    async def refresh(self, ask: Asker) -> float:
        """Refreshes a second: each of them some times."""

        async def one(account: Account) -> None:
            body = {"refresh": self.tokens[account.seed]["refresh"]}
            answer = await ask("POST", "/auth/refresh", body)
            assert answer.status == 200, answer.body
            self.tokens[account.seed] = answer.json()

        return await rate(one, self.accounts * REFRESHES)


async def directory_bytes(folder: Path) -> dict[str, float]:
    """How the file grows with accounts, with devices and with refreshes; refreshes a second."""
    told: dict[str, float] = {}
    async with served(folder):
        pass
    sizes, people = [size(folder)], People("file")
    for work in (people.register, people.add_devices):
        async with served(folder) as ask:
            await work(ask)
        sizes.append(size(folder))
    async with served(folder) as ask:
        told["refreshes a second, SQLite"] = await people.refresh(ask)
    sizes.append(size(folder))
    grown = [after - before for before, after in pairwise(sizes)]
    told["bytes of the directory, an account with its first device"] = grown[0] / PEOPLE
    told["bytes of the directory, a further device"] = grown[1] / PEOPLE
    told["bytes of the directory, a refresh, until it expires"] = grown[2] / PEOPLE / REFRESHES
    return told


async def on_postgres(folder: Path, url: str) -> float:
    """Refreshes a second."""
    people = People("postgres")
    async with served(folder, directory_url=url, directory_connections=AT_ONCE) as ask:
        await people.register(ask)
        return await people.refresh(ask)


def each_minute(folder: Path) -> float:
    """Seconds that the look for what moved away takes, over so many rows."""
    with closing(sqlite3.connect(folder / "rows.db")) as db:
        made = (MIGRATIONS / "0004_databases.sql").read_text().split("\n\n-- Until now")[0]
        db.executescript(made)
        rows = ((os.urandom(16), "files", 3) for _ in range(ROWS))
        db.executemany("INSERT INTO databases (account, home, version) VALUES (?, ?, ?)", rows)
        begun = time.process_time()
        db.execute("SELECT account, leaving FROM databases WHERE leaving IS NOT NULL").fetchall()
        return time.process_time() - begun


def each_start(folder: Path) -> float:
    """Microseconds of a start for each account's file: it looks for interrupted work by their names."""
    for number in range(FILES):
        path = folder / "users" / f"{number % 256:02x}" / f"{number:032x}.db"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    begun = time.process_time()
    sweep(folder / "users")
    return (time.process_time() - begun) / FILES * 1e6


async def snapshots(folder: Path) -> float:
    """Snapshots of nearly empty accounts a second, one after the other."""
    async with two_places(folder) as process:
        accounts = [os.urandom(16) for _ in range(100)]
        for account in accounts:
            await process.databases.create(account, [owner(account, 1)])
        begun = time.perf_counter()
        for account in accounts:
            [_ async for _ in process.operator.snapshot(account.hex())]
        return len(accounts) / (time.perf_counter() - begun)


def resident(folder: Path) -> float:
    """MiB of a server process, the larger of two workers of which one has answered."""
    with ServerProcess(folder, workers="2") as server:
        with urllib.request.urlopen(f"{server.url}/health") as answer:
            answer.read()
        workers = psutil.Process(server.pid).children()
        return max(worker.memory_info().rss for worker in workers) / 2**20


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name, Postgres(find, settings={}) as postgres:
        folder = Path(name)
        told = asyncio.run(directory_bytes(folder / "file"))
        told["refreshes a second, PostgreSQL"] = asyncio.run(on_postgres(folder / "pg", postgres.fresh()))
        told[f"s of a look each minute over {ROWS:,} rows"] = each_minute(folder)
        told["µs of a start for each file"] = each_start(folder)
        told["snapshots of nearly empty accounts a second"] = asyncio.run(snapshots(folder / "kept"))
        told["MiB of a worker"] = resident(folder / "workers")
    print("| what an account costs beside its database | |\n|---|---:|")
    for what, figure in told.items():
        print(f"| {what} | {figure:,.3g} |" if figure < 100 else f"| {what} | {figure:,.0f} |")


if __name__ == "__main__":
    main()
