"""What the SQLite driver promises beyond the contract of every driver: files, locks, disks, crashes."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import pytest

from echolia.storage.engine import (
    Database,
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseExists,
    DatabaseMissing,
    Statement,
    StorageError,
    StorageFull,
    Value,
)
from echolia.storage.sqlite.driver import SqliteDatabase, SqliteDriver

TABLE: Final = Statement("CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB) STRICT")


def put(n: int, blob: bytes = b"") -> Statement:
    return Statement("INSERT INTO t VALUES (?, ?)", (n, blob))


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def size_bytes(file: Path) -> int:
    return file.stat().st_size


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


async def one(db: Database, sql: str) -> Value:
    [[value]] = (await db.batch([Statement(sql)]))[0].rows
    return value


async def test_the_safe_settings_are_in_force(driver: SqliteDriver, tmp_path: Path) -> None:
    db = await driver.open(tmp_path / "a.db", create=True)
    wanted = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
        "trusted_schema": 0,
        "mmap_size": 0,
        "cache_size": -128,
        "fullfsync": 1,
    }
    assert {name: await one(db, f"PRAGMA {name}") for name in wanted} == wanted
    await db.close()


async def test_files_are_private_and_one_is_left_after_closing(driver: SqliteDriver, tmp_path: Path) -> None:
    db = await driver.open(tmp_path / "a.db", create=True)
    await db.batch([TABLE, put(1)])
    assert files(tmp_path) == [tmp_path / name for name in ("a.db", "a.db-shm", "a.db-wal")]
    assert modes(tmp_path) == {0o600}
    await db.close()
    assert files(tmp_path) == [tmp_path / "a.db"]


async def test_an_open_database_takes_three_descriptors(driver: SqliteDriver, tmp_path: Path) -> None:
    before = descriptors()
    opened = [await driver.open(tmp_path / f"{n}.db", create=True) for n in range(10)]
    for db in opened:
        await db.batch([TABLE, put(1)])
    assert descriptors() - before <= 30
    for db in opened:
        await db.close()
    assert descriptors() == before


async def test_odd_names_are_one_file_each(driver: SqliteDriver, tmp_path: Path) -> None:
    for name in ("a?mode=memory.db", "a#b.db", "a%20b.db", "ü 📊.db"):
        db = await driver.open(tmp_path / name, create=True)
        await db.batch([TABLE])
        await db.close()
        assert size_bytes(tmp_path / name) > 0


async def test_the_log_stays_small(driver: SqliteDriver, tmp_path: Path) -> None:
    db = await driver.open(tmp_path / "a.db", create=True)
    await db.batch([TABLE])
    for n in range(200):
        await db.batch([put(n, bytes(50_000))])
    await db.batch([put(1000, bytes(9_000_000))])
    await db.batch([put(1001)])
    assert size_bytes(tmp_path / "a.db-wal") < 2_000_000
    await db.close()


async def test_a_foreign_lock_is_busy_and_passes(driver: SqliteDriver, tmp_path: Path) -> None:
    db = await driver.open(tmp_path / "a.db", create=True)
    await db.batch([TABLE])
    stranger = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    for statements in ([put(1)], [put(1), put(2)]):
        with pytest.raises(DatabaseBusy) as caught:
            await db.batch(statements)
        assert caught.value.code == "storage_busy"
    stranger.execute("ROLLBACK")
    stranger.close()
    await db.batch([put(1), put(2)])
    await db.close()


@pytest.mark.parametrize("content", [b"not a database at all" * 400, b"SQLite format 3\x00" + b"\x07" * 8000])
async def test_what_is_not_a_database_is_damaged(
    driver: SqliteDriver, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a.db").write_bytes(content)
    with pytest.raises(DatabaseDamaged) as caught:
        await driver.open(tmp_path / "a.db")
    assert caught.value.code == "storage_damaged"
    assert (tmp_path / "a.db").read_bytes() == content


async def test_a_torn_database_is_damaged(driver: SqliteDriver, tmp_path: Path) -> None:
    db = await driver.open(tmp_path / "a.db", create=True)
    await db.batch([TABLE, *(put(n, bytes(3000)) for n in range(100))])
    await db.close()
    content = bytearray((tmp_path / "a.db").read_bytes())
    content[4096:40960] = b"\xa5" * 36864
    (tmp_path / "a.db").write_bytes(content)
    db = await driver.open(tmp_path / "a.db")
    with pytest.raises(DatabaseDamaged):
        await db.batch([Statement("SELECT sum(length(b)) FROM t")])
    await db.close()


async def test_a_folder_is_no_database(driver: SqliteDriver, tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        await driver.open(tmp_path)
    assert caught.value.code == "storage_failed"


async def test_a_full_database_undoes_the_batch_and_goes_on(driver: SqliteDriver, tmp_path: Path) -> None:
    db = await driver.open(tmp_path / "a.db", create=True)
    await db.batch([TABLE, put(0)])
    await db.batch([Statement("PRAGMA max_page_count = 20")], tx=False)
    with pytest.raises(StorageFull) as caught:
        await db.batch([put(1), put(2, bytes(500_000))])
    assert caught.value.code == "storage_full"
    await db.batch([put(3)])
    assert await one(db, "SELECT group_concat(n) FROM t") == "0,3"
    await db.close()


FILLS_THE_DISK = """
import asyncio, resource, sys
from pathlib import Path
from echolia.storage.engine import Statement, StorageFull
from echolia.storage.sqlite.driver import SqliteDriver

async def main():
    driver = SqliteDriver(threads=1)
    db = await driver.open(Path(sys.argv[1]), create=True)
    await db.batch([Statement("CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB) STRICT")])
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    kept, refused = [], 0
    for n in range(40):
        size = 200_000 if n % 4 == 3 else 2_000
        try:
            pair = [Statement("INSERT INTO t VALUES (?, zeroblob(?))", (m, size)) for m in (2 * n, 2 * n + 1)]
            await db.batch(pair)
            kept.append(n)
        except StorageFull:
            refused += 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await db.batch([Statement("INSERT INTO t VALUES (1000, zeroblob(300000))")])
    await db.close()
    await driver.close()
    print(refused, *kept)

asyncio.run(main())
"""


def fill_the_disk(path: Path) -> list[int]:
    """What the program above printed: how many batches were refused, then which were kept."""
    command = [sys.executable, "-c", FILLS_THE_DISK, str(path)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=60)
    return [int(word) for word in ran.stdout.split()]


async def test_a_disk_that_takes_no_more_loses_nothing(driver: SqliteDriver, tmp_path: Path) -> None:
    refused, *kept = fill_the_disk(tmp_path / "a.db")
    assert refused > 0
    assert kept
    db = await driver.open(tmp_path / "a.db")
    rows = (await db.batch([Statement("SELECT n FROM t ORDER BY n")]))[0].rows
    assert [n for (n,) in rows] == [*(m for n in kept for m in (2 * n, 2 * n + 1)), 1000]
    assert await one(db, "PRAGMA integrity_check") == "ok"
    await db.close()


ACKNOWLEDGES = """
import asyncio, sys
from pathlib import Path
from echolia.storage.engine import Statement
from echolia.storage.sqlite.driver import SqliteDriver

async def main():
    driver = SqliteDriver(threads=2)
    db = await driver.open(Path(sys.argv[1]), create=True)
    await db.batch([Statement("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, b BLOB) STRICT")])
    for n in range(int(sys.argv[2]), 1_000_000):
        pair = [Statement("INSERT INTO t VALUES (?, zeroblob(700))", (m,)) for m in (2 * n, 2 * n + 1)]
        await db.batch(pair)
        print(n, flush=True)

asyncio.run(main())
"""


def killed_after(path: Path, begin: int, lines: int) -> int:
    """Run the program above from batch `begin`, kill it after some lines; the last batch it acknowledged."""
    command = [sys.executable, "-c", ACKNOWLEDGES, str(path), str(begin)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(lines):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        # the last line may have been cut short
        return max([begin + lines - 1, *(int(line) for line in writer.stdout.read().split("\n")[:-1])])


async def test_kill_9_loses_nothing_acknowledged_and_halves_nothing(
    driver: SqliteDriver, tmp_path: Path
) -> None:
    dice = random.Random(9)
    path = tmp_path / "a.db"
    begin = 0
    for _ in range(6):
        acknowledged = killed_after(path, begin, dice.randrange(1, 400))
        db = await driver.open(path)
        [(last, count)] = (await db.batch([Statement("SELECT max(n), count(*) FROM t")]))[0].rows
        await db.close()
        assert isinstance(last, int)
        assert last >= 2 * acknowledged + 1
        assert count == last + 1
        begin = (last + 1) // 2


def marked(db: Database) -> threading.Event:
    """An event that the SQL function `mark()` sets, in the thread that runs it."""
    reached = threading.Event()
    assert isinstance(db, SqliteDatabase)
    assert db._connection is not None
    db._connection.create_function("mark", 0, reached.set)
    return reached


async def test_a_statement_that_runs_is_interrupted(driver: SqliteDriver, tmp_path: Path) -> None:
    db = await driver.open(tmp_path / "a.db", create=True)
    await db.batch([TABLE])
    reached = marked(db)
    endless = "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i) SELECT max(n), mark() FROM i"
    for statements in ([Statement("SELECT mark()"), Statement(endless)], [put(1), Statement(endless)]):
        reached.clear()
        running = asyncio.create_task(db.batch([*statements, put(2)]))
        if statements[0].sql == "SELECT mark()":
            assert await asyncio.to_thread(reached.wait, 30)
        running.cancel()
        running.cancel()  # impatience changes nothing
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(running, 30)
    assert await one(db, "SELECT count(*) FROM t") == 0
    await db.close()


async def test_a_timeout_ends_a_batch(driver: SqliteDriver, tmp_path: Path) -> None:
    db = await driver.open(tmp_path / "a.db", create=True)
    endless = "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i) SELECT max(n) FROM i"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await db.batch([TABLE, Statement(endless)])
    assert (await db.batch([Statement("SELECT name FROM sqlite_schema")]))[0].rows == []
    await db.close()


async def test_one_slow_database_does_not_hold_up_another(driver: SqliteDriver, tmp_path: Path) -> None:
    slow = await driver.open(tmp_path / "slow.db", create=True)
    quick = await driver.open(tmp_path / "quick.db", create=True)
    endless = "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i) SELECT max(n) FROM i"
    running = [asyncio.create_task(slow.batch([Statement(endless)])) for _ in range(9)]
    assert await asyncio.wait_for(one(quick, "SELECT 1"), 30) == 1
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await slow.close()
    await quick.close()


async def test_a_cancelled_opening_leaves_nothing_open(driver: SqliteDriver, tmp_path: Path) -> None:
    before = descriptors()
    for ticks in range(6):
        opening = asyncio.create_task(driver.open(tmp_path / f"{ticks}.db", create=True))
        for _ in range(ticks):
            await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    assert descriptors() == before


async def test_a_copy_is_the_template_and_the_statements(driver: SqliteDriver, tmp_path: Path) -> None:
    db = await driver.open(tmp_path / "a.db", create=True)
    await db.batch([TABLE, put(1)])
    await db.close()
    template = (tmp_path / "a.db").read_bytes()
    await driver.copy(template, tmp_path / "b.db", [put(2, b"two")])
    assert files(tmp_path) == [tmp_path / "a.db", tmp_path / "b.db"]
    assert modes(tmp_path) == {0o600}
    db = await driver.open(tmp_path / "b.db")
    assert await one(db, "SELECT group_concat(n) FROM t") == "1,2"
    assert await one(db, "PRAGMA journal_mode") == "wal"
    await db.close()
    with pytest.raises(DatabaseExists):
        await driver.copy(template, tmp_path / "b.db", [])
    with pytest.raises(DatabaseMissing):
        await driver.copy(template, tmp_path / "nowhere" / "c.db", [])


async def test_a_closed_driver_refuses(tmp_path: Path) -> None:
    driver = SqliteDriver(threads=1)
    await driver.close()
    await driver.close()
    with pytest.raises(StorageError):
        await driver.open(tmp_path / "a.db", create=True)
