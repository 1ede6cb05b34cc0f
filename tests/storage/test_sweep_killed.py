"""kill -9 in the middle of a sweep: each database has a step wholly or not at all, and the next goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from echolia.storage.engine import Statement
from echolia.storage.migrate import load_migrations
from echolia.storage.sweeping import Sweep
from tests.support.fleet import EXPANDING, fleet_of, steps_with

ACCOUNTS = 150
LATEST = len(load_migrations("user"))
# Tells of each database, so that it can be killed after as many as the test likes.
PROGRAM = """
import asyncio, sys
from pathlib import Path
from echolia.storage.directory import open_directory
from echolia.storage.migrate import load_migrations
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sweeping import Sweep
from tests.support.file_databases import file_databases
from tests.support.fleet import EXPANDING, steps_with

async def main(folder):
    driver = SqliteDriver(4)
    directory = await open_directory(folder / "directory.db", driver, load_migrations("directory"))
    databases = file_databases(folder / "users", driver, steps_with(EXPANDING), directory=directory)
    await databases.sweep()
    async for progress in Sweep(databases).watch():
        print(progress.behind, flush=True)

asyncio.run(main(Path(sys.argv[1])))
"""


def swept_until(folder: Path, behind: int) -> int:
    """Sweep in a process that is killed once so few are behind; how many it said were."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if (left := int(line)) <= behind:
                os.kill(process.pid, signal.SIGKILL)
                return left
    raise AssertionError("it ended before it was killed")


async def test_nothing_is_half_applied_and_the_next_one_finishes(tmp_path: Path) -> None:
    async with fleet_of(tmp_path, ACCOUNTS, load_migrations("user")):
        pass
    for behind in (ACCOUNTS - 25, ACCOUNTS - 80, 20):
        assert 0 < swept_until(tmp_path, behind) <= behind
    async with fleet_of(tmp_path, 0, []) as fleet:
        accounts = [n.to_bytes(2, "big") * 8 for n in range(1, ACCOUNTS + 1)]
        done = 0
        for account in accounts:
            version = await fleet.version(account)
            noted = await fleet.run(
                account,
                Statement(
                    "SELECT name FROM pragma_table_info('acks') WHERE name = 'note'"
                    " UNION ALL SELECT name FROM sqlite_schema WHERE name = 'notes'"
                ),
            )
            assert noted == ([("note",), ("notes",)] if version == LATEST + 1 else [])
            assert (await fleet.registry.place(account)).version <= version
            done += version == LATEST + 1
        assert done >= ACCOUNTS - 25
        databases = fleet.databases(steps_with(EXPANDING))
        await databases.sweep()
        assert await Sweep(databases).once() == 0
        await databases.close()
        assert {await fleet.version(account) for account in accounts} == {LATEST + 1}
        assert await fleet.registry.tally(LATEST + 1) == (0, 0)
        # What is counted one by one is exact; after the canary a kill may forget the last hundred successes.
        assert (await fleet.registry.sweep()).tried >= databases.upgrades.state.size
