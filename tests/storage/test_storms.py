"""Far more accounts than may be open, on real files: cancelled, failing, deleted in the middle of it."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import pytest

from echolia.storage.databases import UserDatabases
from echolia.storage.engine import DatabaseBusy, DatabaseMissing, StorageError, StorageFull
from echolia.storage.leases import CLOSING_AT_ONCE
from tests.storage.conftest import account_id, belongs_to, files, frames, run
from tests.support.counting_driver import CountingDriver
from tests.support.file_databases import file_databases

ACCOUNTS, CLIENTS, TURNS, MOST_OPEN = 40, 12, 30, 4
FAILURES = (DatabaseBusy("SQLITE_BUSY"), StorageFull("SQLITE_FULL"), StorageError("SQLITE_NOMEM"))


def descriptors() -> int:
    """How many files this process has open."""
    return sum(1 for _ in Path("/dev/fd").iterdir())


class Storm:
    """Clients that write to accounts chosen by the dice, and what each of them was told is kept."""

    def __init__(self, databases: UserDatabases, seed: int) -> None:
        self.databases = databases
        self.dice = random.Random(seed)
        self.number = 0
        self.acknowledged: defaultdict[bytes, set[bytes]] = defaultdict(set)
        self.unclear: set[bytes] = set()
        self.failed = self.cancelled = 0

    async def write(self, account: bytes) -> None:
        """Store one frame, read it back in the same lease."""
        self.number += 1
        number, frame = self.number, b"frame %d" % self.number
        self.unclear.add(frame)
        async with self.databases.lease(account) as db:
            await db.batch([run(frame, number)])
            self.acknowledged[account].add(frame)
            self.unclear.discard(frame)

    async def client(self) -> None:
        """One client after the other account, some of its requests given up half-way."""
        for _ in range(TURNS):
            task = asyncio.create_task(self.write(account_id(self.dice.randrange(ACCOUNTS))))
            if self.dice.random() < 0.3:
                for _ in range(self.dice.randrange(12)):
                    await asyncio.sleep(0)
                task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                self.cancelled += 1
            except StorageError:
                self.failed += 1

    async def visitor(self) -> None:
        """Passes by as a sweep does, and drops databases that are in use."""
        for _ in range(TURNS):
            account = account_id(self.dice.randrange(ACCOUNTS))
            with suppress(StorageError):
                await (self.databases.upgrade if self.dice.random() < 0.7 else self.databases.drop)(account)


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_acknowledged_is_lost_and_nothing_stays_open(tmp_path: Path, seed: int) -> None:
    driver, dice = CountingDriver(), random.Random(seed)
    databases = file_databases(tmp_path, driver, max_open=MOST_OPEN)
    for number in range(ACCOUNTS):
        await databases.create(account_id(number), [belongs_to(account_id(number))])
    before = descriptors()
    rates = {"open": 0.1, "batch": 0.05, "close": 0.1}
    driver.fault = lambda what: dice.choice(FAILURES) if dice.random() < rates[what] else None
    storm = Storm(databases, seed)
    async with asyncio.timeout(120):
        await asyncio.gather(*(storm.client() for _ in range(CLIENTS)), storm.visitor(), storm.visitor())
    assert min(storm.failed, storm.cancelled) > 10
    assert databases.stats().leased == 0
    assert driver.most <= MOST_OPEN + CLIENTS + CLOSING_AT_ONCE + 2
    driver.fault = lambda _: None
    for number in range(ACCOUNTS):
        account = account_id(number)
        kept = {frame for frame in await frames(databases, account) if isinstance(frame, bytes)}
        assert storm.acknowledged[account] <= kept <= storm.acknowledged[account] | storm.unclear
    await databases.close()
    assert databases.open_count == driver.now.total() == 0
    assert descriptors() <= before
    await driver.close()


@pytest.mark.parametrize("seed", range(3))
async def test_deletions_in_the_storm_leave_no_file_and_no_way_back(tmp_path: Path, seed: int) -> None:
    driver = CountingDriver()
    databases = file_databases(tmp_path, driver, max_open=MOST_OPEN)
    for number in range(ACCOUNTS):
        await databases.create(account_id(number), [belongs_to(account_id(number))])
    storm = Storm(databases, seed)

    async def deleting() -> None:
        for number in range(0, ACCOUNTS, 2):
            await databases.delete(account_id(number))

    async with asyncio.timeout(120):
        await asyncio.gather(*(storm.client() for _ in range(CLIENTS)), storm.visitor(), deleting())
    for number in range(ACCOUNTS):
        if number % 2:
            assert storm.acknowledged[account_id(number)] <= set(await frames(databases, account_id(number)))
        else:
            assert not [name for name in files(tmp_path) if account_id(number).hex() in name]
            with pytest.raises(DatabaseMissing):
                await frames(databases, account_id(number))
    await databases.close()
    assert driver.now.total() == 0
    await driver.close()
