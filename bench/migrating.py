"""A sweep of many databases while clients sync: how fast it is, what clients notice, killed and resumed.

    .venv/bin/python -m bench.migrating                      # 2,000 databases, under a minute
    .venv/bin/python -m bench.migrating --databases 10000

One process has the databases and pushes to some of them at a fixed rate, signed and durable, each timed from
when it was due. It does so without a sweep, beside one at the pace of the settings, and beside one as fast as
can be, which is killed by SIGKILL in the middle and resumed. Prints a table; removes what it made.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import uvloop

from bench.figures import open_directory_at, peak_mib, percentile
from echolia.settings import Settings
from echolia.storage.databases import owner
from echolia.storage.migrate import Migration, load_migrations
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sweeping import Pace, Sweep
from echolia.sync.service import SyncService
from echolia.web.context import Caller, OnEnd, Standing
from tests.support.file_databases import file_databases
from tests.support.fleet import EXPANDING, steps_with
from tests.support.runs import Writer

HOT = 100
PUSHES_A_SECOND = 100
CHANGES_A_PUSH = 5
PHASE_S = 6.0
PACE = Settings.model_fields["migrate_per_second"].default


def account_of(number: int) -> bytes:
    """The id of the numbered account."""
    return number.to_bytes(4, "big") * 4


class Writers:
    """A device for each hot account, which is also what the server knows of devices."""

    def __init__(self, phase: int) -> None:
        self.writers = {account_of(n): Writer(account_of(n), seed=phase * 1000 + n) for n in range(HOT)}

    def next(self, push: int) -> tuple[Writer, bytes]:
        """Who pushes, and what."""
        writer = self.writers[account_of(push % HOT)]
        writer.write(CHANGES_A_PUSH)
        return writer, writer.run(len(writer.changes) - CHANGES_A_PUSH + 1)

    def admits(self, caller: Caller) -> None:
        """Everybody may act."""

    async def standing(self, account: bytes, device: bytes = b"") -> Standing:
        """The account's device."""
        writer = self.writers[account]
        return Standing({writer.device: writer.public}, {}, 1, bytes(32))

    def on_end(self, callback: OnEnd) -> None:
        """Nobody ends."""


async def pushed(service: SyncService, writers: Writers, until: asyncio.Event) -> list[float]:
    """Push at the fixed rate until told; the milliseconds of each, from when it was due."""
    took: list[float] = []
    begun = time.perf_counter()

    async def push(due: float, writer: Writer, frame: bytes) -> None:
        told = await service.push(Caller(writer.account, writer.device, expires=2**40), [frame])
        took.append((time.perf_counter() - due) * 1000)
        assert told["runs"][0]["status"] == "stored", told

    async with asyncio.TaskGroup() as group:
        for number in count():
            due = begun + number / PUSHES_A_SECOND
            frame = writers.next(number)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if until.is_set():
                break
            group.create_task(push(due, *frame))
    return took


async def child(folder: Path, phase: int, per_second: float | None) -> None:
    """One phase in this process: clients alone (None), or beside a sweep at a pace (0: as fast as can be)."""
    steps: list[Migration] = steps_with(EXPANDING)
    driver, ended = SqliteDriver(), asyncio.Event()
    directory = await open_directory_at(folder, driver)
    databases = file_databases(folder / "users", driver, steps, directory=directory)
    await databases.sweep()
    sweep = Sweep(databases)
    if per_second is None:
        await databases.upgrades.pause("operator")
    elif databases.upgrades.state.paused:
        await databases.upgrades.pause(None)

    def clock_ms() -> int:
        return time.time_ns() // 1_000_000

    writers = Writers(phase)
    clients = asyncio.create_task(pushed(SyncService(databases, writers, clock_ms), writers, ended))
    begun, migrated = time.perf_counter(), databases.upgrades.migrated_total
    sweeping = None if per_second is None else asyncio.create_task(sweep.run(Pace(per_second)))
    if per_second == 0:
        async for progress in sweep.watch():
            print(json.dumps({"behind": progress.behind, "at": time.perf_counter() - begun}), flush=True)
        swept_s = time.perf_counter() - begun
    else:
        await asyncio.sleep(PHASE_S)
    ended.set()
    took = await clients
    told = {
        "migrated": databases.upgrades.migrated_total - migrated,
        "seconds": swept_s if per_second == 0 else time.perf_counter() - begun,
        "pushes": len(took),
        "p50": percentile(took, 0.5),
        "p99": percentile(took, 0.99),
        "mib": peak_mib(),
    }
    print(json.dumps({"told": told}), flush=True)
    if sweeping is not None:
        sweeping.cancel()
        await asyncio.wait({sweeping})
    await databases.close()
    await directory.close()
    await driver.close()


async def fleet(folder: Path, databases: int) -> float:
    """Make so many databases of the released version; how many a second."""
    driver = SqliteDriver()
    directory = await open_directory_at(folder, driver)
    made = file_databases(folder / "users", driver, load_migrations("user"), directory=directory)
    numbers = iter(range(databases))

    async def make() -> None:
        for number in numbers:
            await made.create(account_of(number), [owner(account_of(number), 7)])

    begun = time.perf_counter()
    await asyncio.gather(*(make() for _ in range(16)))
    seconds = time.perf_counter() - begun
    await made.close()
    await directory.close()
    await driver.close()
    return databases / seconds


class Phase:
    """A child process and what it says."""

    def __init__(self, folder: Path, number: int, per_second: float | None) -> None:
        pace = "none" if per_second is None else str(per_second)
        command = [sys.executable, "-m", "bench.migrating", "--child", str(folder), str(number), pace]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.first: tuple[float, int] | None = None
        self.last = (0.0, 0)

    def told(self, kill_at: int | None = None) -> dict[str, float]:
        """What it measured; {} where it was killed once no more than `kill_at` were behind."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = json.loads(line)
            if "told" in said:
                self.process.wait(60)
                measured: dict[str, float] = said["told"]
                return measured
            self.last = (said["at"], said["behind"])
            self.first = self.first or self.last
            if kill_at is not None and said["behind"] <= kill_at:
                os.kill(self.process.pid, signal.SIGKILL)
                self.process.wait(60)
                return {}
        raise SystemExit("a phase ended before it had measured anything")


def measured(folder: Path, databases: int) -> list[tuple[str, str]]:
    """The table."""
    made = asyncio.run(fleet(folder, databases))
    alone = Phase(folder, 1, None).told()
    paced = Phase(folder, 2, PACE).told()
    killed = Phase(folder, 3, 0)
    killed.told(kill_at=(databases - int(paced["migrated"])) // 2)
    full = Phase(folder, 4, 0).told()
    assert killed.first is not None
    first = (killed.first[1] - killed.last[1]) / (killed.last[0] - killed.first[0])
    return [
        (f"databases made a second, for {databases:,}", f"{made:,.0f}"),
        ("a push, ms: p50, p99; without a sweep", _both(alone)),
        (f"beside one of {PACE:g} a second", f"{_both(paced)} ({_ratios(paced, alone)})"),
        ("beside one as fast as can be", f"{_both(full)} ({_ratios(full, alone)})"),
        ("databases migrated a second at that pace", f"{paced['migrated'] / paced['seconds']:,.0f}"),
        (f"as fast as can be, until killed with {killed.last[1]:,} behind", f"{first:,.0f}"),
        (
            "resumed, the rest",
            f"{full['migrated'] / full['seconds']:,.0f} ({full['migrated']:,.0f} databases)",
        ),
        ("peak memory, MiB: without a sweep, beside it", f"{alone['mib']:.0f}, {full['mib']:.0f}"),
        ("left behind, half applied", _remains(folder, databases)),
    ]


def _remains(folder: Path, databases: int) -> str:
    """Look into every file, past all code that knows versions."""
    behind = odd = 0
    latest = len(load_migrations("user")) + 1
    for file in (folder / "users").glob("??/*.db"):
        db = sqlite3.connect(file)
        ((version,),) = db.execute("SELECT max(version) FROM schema_migrations").fetchall()
        notes = db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'notes'").fetchone()[0]
        column = db.execute("SELECT count(*) FROM pragma_table_info('acks') WHERE name = 'note'").fetchone()[
            0
        ]
        db.close()
        behind += version != latest
        odd += len({version == latest, bool(notes), bool(column)}) != 1
        databases -= 1
    assert databases == 0, "a database is missing"
    return f"{behind}, {odd}"


def _both(told: dict[str, float]) -> str:
    return f"{told['p50']:.1f}, {told['p99']:.1f}"


def _ratios(told: dict[str, float], alone: dict[str, float]) -> str:
    return f"× {told['p50'] / alone['p50']:.2f}, × {told['p99'] / alone['p99']:.2f}"


def main(words: Sequence[str] | None = None) -> None:
    """Run the phases in a folder of their own, or be one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--databases", type=int, default=2000)
    parser.add_argument("--data", type=Path, default=None, help="whose disk is measured")
    parser.add_argument("--child", nargs=3, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.child:
        folder, phase, pace = given.child
        uvloop.run(child(Path(folder), int(phase), None if pace == "none" else float(pace)))
        return
    folder = Path(tempfile.mkdtemp(prefix="migrating-", dir=given.data))
    try:
        table = measured(folder, given.databases)
    finally:
        shutil.rmtree(folder)
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"| {given.databases:,} databases, {PUSHES_A_SECOND} pushes a second; load {load} | |\n|---|---:|")
    print("\n".join(f"| {name} | {value} |" for name, value in table))


if __name__ == "__main__":
    main()
