"""Signing in with the directory in a file and in PostgreSQL: one by one, then many at once; one run."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.support.accounts import Account
from tests.support.asgi import Asker
from tests.support.postgres import Postgres
from tests.support.server import served

PEOPLE, ROUNDS, AT_ONCE = 50, 8, 16


def find(name: str, install: str) -> str:
    """A program of PostgreSQL's."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which(name, path=":".join(map(str, folders))) or shutil.which(name)
    return found or sys.exit(f"{name} is not installed; install it by: {install}")


async def timed(ask: Asker, account: Account) -> float:
    """Milliseconds of a challenge and a sign-in."""
    begun = time.perf_counter()
    assert (await account.sign_in(ask)).status == 200
    return (time.perf_counter() - begun) * 1000


async def measured(data: Path, url: str) -> tuple[float, float, float]:
    """p50 and p99 alone, in ms, and sign-ins a second with many at once."""
    async with served(data, directory_url=url, directory_connections=AT_ONCE) as ask:
        people = [Account(f"person {number}") for number in range(PEOPLE)]
        for person in people:
            await person.register(ask)
        alone = [await timed(ask, person) for _ in range(ROUNDS) for person in people]
        waiting = [person for _ in range(ROUNDS) for person in people]

        async def work() -> None:
            while waiting:
                await timed(ask, waiting.pop())

        count, begun = len(waiting), time.perf_counter()
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        rate = count / (time.perf_counter() - begun)
    return statistics.median(alone), statistics.quantiles(alone, n=100)[98], rate


def main() -> None:
    """Measure both and print a table."""
    print(f"| directory | sign-in p50 ms | p99 ms | sign-ins a second, {AT_ONCE} at once |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, Postgres(find, settings={}) as postgres:
        for name, url in (("SQLite file", ""), ("PostgreSQL", postgres.fresh())):
            p50, p99, rate = asyncio.run(measured(Path(folder) / name, url))
            print(f"| {name} | {p50:.2f} | {p99:.2f} | {rate:.0f} |")


if __name__ == "__main__":
    main()
