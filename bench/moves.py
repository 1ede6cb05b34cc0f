"""What moving an account costs: how fast it is copied, and for how long its devices wait.

    .venv/bin/python -m bench.moves --megabytes 10 100 --data ./data/bench

A writer stores a run of 5 KiB after the other meanwhile; the longest that one of them took is what a device
waits. `--data` decides which disk is measured. Prints a table; removes what it made.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path

from echolia.storage.engine import Statement
from tests.support.two_places import OTHER, two_places

ACCOUNT = bytes(range(16))
FRAME_BYTES = 20_000


def run(number: int, frame: bytes) -> Statement:
    """A statement that stores a run."""
    return Statement(
        "INSERT INTO runs (changes, device, last, chain, received_ms, log, total_bytes, frame)"
        " VALUES (5, x'00', ?, zeroblob(32), 0, zeroblob(32), 0, ?)",
        (number, frame),
    )


async def measured(folder: Path, megabytes: int) -> str:
    """A row of the table."""
    async with two_places(folder) as process:
        await process.databases.create(
            ACCOUNT, [Statement("INSERT INTO account (one, account, epoch) VALUES (1, ?, 1)", (ACCOUNT,))]
        )
        runs = megabytes * 1_000_000 // FRAME_BYTES
        for start in range(0, runs, 100):
            async with process.databases.lease(ACCOUNT) as db:
                await db.batch([run(n, os.urandom(FRAME_BYTES)) for n in range(start, start + 100)])
        waits: list[float] = []

        async def write() -> None:
            for n in range(runs + 100, 10**9):
                begun = time.perf_counter()
                async with process.databases.lease(ACCOUNT) as db:
                    await db.batch([run(n, os.urandom(5000))])
                waits.append(time.perf_counter() - begun)
                await asyncio.sleep(0.005)

        writing = asyncio.create_task(write())
        begun = time.perf_counter()
        moved = await process.moves.move(ACCOUNT, OTHER)
        took_s = time.perf_counter() - begun
        writing.cancel()
        begun = time.perf_counter()
        [_ async for _ in process.operator.snapshot(ACCOUNT.hex())]
        kept_s = time.perf_counter() - begun
    return (
        f"| {megabytes} MB | {took_s:.1f} s | {megabytes / took_s:.0f} MB/s | {moved.paused_s * 1000:.0f} ms"
        f" | {max(waits) * 1000:.0f} ms | {len(waits)} | {kept_s:.1f} s |"
    )


async def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()))
    given = parser.parse_args()
    print("| account | moved in | | paused | longest write | writes meanwhile | snapshot |")
    print("|---|---|---|---|---|---|---|")
    for megabytes in given.megabytes:
        folder = Path(tempfile.mkdtemp(dir=given.data))
        try:
            print(await measured(folder, megabytes))
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    asyncio.run(main())
