"""How many databases may be open: what memory and open files allow, or a refusal that says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from echolia.core.errors import EcholiaError
from echolia.storage.budget import DESCRIPTORS, FEWEST, files_allowed, needed_files, open_at_once

MIB = 1 << 20
START = "from echolia.settings import Settings; from echolia.serving import serve; serve(Settings())"


@pytest.mark.parametrize(
    ("memory_bytes", "most_files", "databases"),
    [
        (128 * MIB, 1 << 20, 512),  # memory is what there is least of
        (4096 * MIB, 1 << 20, 16384),
        (128 * MIB, 1024, 150),  # half of the files are for clients
        (128 * MIB, 256, 22),
        (MIB, 1 << 20, FEWEST),
    ],
)
def test_what_the_budgets_allow(memory_bytes: int, most_files: int, databases: int) -> None:
    assert open_at_once(0, memory_bytes, most_files) == databases
    assert needed_files(databases) <= most_files


@pytest.mark.parametrize("asked", [1, 512, 40_000])
def test_what_is_asked_for_is_taken_whatever_its_memory(asked: int) -> None:
    assert open_at_once(asked, MIB, needed_files(asked)) == asked


def test_more_than_the_limit_of_open_files_allows_is_refused_with_what_to_do() -> None:
    needed = needed_files(512)
    with pytest.raises(EcholiaError) as caught:
        open_at_once(512, MIB, needed - 1)
    assert caught.value.code == "open_files_limited"
    said = f"ECHOLIA_OPEN_DATABASES=512 needs {needed} open files and may have {needed - 1}"
    assert caught.value.detail == f"{said}: raise `ulimit -n` to {needed} or lower the setting"
    with pytest.raises(EcholiaError, match=f"the server needs {needed_files(FEWEST)} open files") as caught:
        open_at_once(0, MIB, 100)
    assert "setting" not in caught.value.detail


def test_this_process_may_open_as_many_as_the_system_says() -> None:
    assert files_allowed() == int(
        subprocess.check_output(["sh", "-c", "ulimit -Sn"]).replace(b"unlimited", b"1048576")
    )


def refused(folder: Path, ulimit: int, **settings: str) -> tuple[int, str]:
    """How a server ends that must not start, and what it says; both of its shell's limits are this."""
    variables = {"ECHOLIA_DATA": str(folder / "data"), "ECHOLIA_PORT": "0", **settings}
    ended = subprocess.run(
        ["sh", "-c", f"ulimit -n {ulimit}; exec {sys.executable} -c '{START}'"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return ended.returncode, ended.stderr


def test_a_server_says_so_at_its_start(tmp_path: Path) -> None:
    code, said = refused(tmp_path, 1000, ECHOLIA_OPEN_DATABASES="2000")
    assert code == 1
    meaning = "The server needs more open files than this process may have."
    detail = f"ECHOLIA_OPEN_DATABASES=2000 needs {needed_files(2000)} open files and may have 1000"
    assert said.startswith(f"echolia: {meaning} ({detail}: raise `ulimit -n`")
    assert said.endswith("or lower the setting) [open_files_limited]\n")
    assert said.count("\n") == 1


def test_each_open_database_takes_as_many_descriptors_as_are_counted_on() -> None:
    program = """
import asyncio, os, tempfile
from pathlib import Path
from echolia.storage.databases import owner
from echolia.storage.sqlite.driver import SqliteDriver
from tests.support.file_databases import file_databases

async def main():
    with tempfile.TemporaryDirectory() as folder:
        driver = SqliteDriver(2)
        databases = file_databases(Path(folder), driver, max_open=64)
        accounts = [bytes([n]) * 16 for n in range(40)]
        for account in accounts:
            await databases.create(account, [owner(account, 1)])
        before = len(os.listdir("/dev/fd"))
        for account in accounts:
            async with databases.lease(account) as db:
                await db.batch([owner(account, 1)._replace(sql="UPDATE account SET account = ?, epoch = ?")])
        print((len(os.listdir("/dev/fd")) - before) / len(accounts))
        await databases.close()
        await driver.close()

asyncio.run(main())
"""
    counted = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert 0 < float(counted) <= DESCRIPTORS
