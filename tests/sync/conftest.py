"""A real log: the sync service over real database files, with the devices that a test names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from echolia.storage.databases import UserDatabases, owner
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.sync.checkpoints import Checkpoints
from echolia.sync.compaction import DAY_MS, Compaction, Patience
from echolia.sync.quota import Quotas
from echolia.sync.service import SyncService
from echolia.sync.walk import Walking
from echolia.web.context import Caller, OnEnd, Quota, Standing
from echolia.web.limits import Amounts
from echolia.web.tiers import UNLIMITED
from tests.support.file_databases import file_databases
from tests.support.runs import Writer, keys_of

ACCOUNT = bytes(range(16))
EPOCH = 77
PATIENCE = Patience(undo_ms=30 * DAY_MS, parked_ms=90 * DAY_MS)


@dataclass
class NamedDevices:
    """The `Devices` port over a list that the test keeps."""

    writers: list[Writer] = field(default_factory=list)
    revoked: dict[bytes, int] = field(default_factory=dict)

    def admits(self, caller: Caller) -> None:
        """Everybody may act."""

    async def standing(self, account: bytes, device: bytes = b"") -> Standing:
        """The writers' keys."""
        return Standing(keys_of(self.writers), self.revoked, len(self.writers), bytes(32))

    def on_end(self, callback: OnEnd) -> None:
        """Nobody ends here."""


@dataclass
class NamedTier:
    """The `Entitlements` port over a quota that the test changes."""

    named: Quota = UNLIMITED

    async def quota(self, account: bytes) -> Quota:
        """What the test says."""
        return self.named


@dataclass
class Log:
    """One account's log with two devices, `laptop` and `phone`."""

    driver: SqliteDriver
    databases: UserDatabases
    service: SyncService
    devices: NamedDevices
    laptop: Writer
    phone: Writer
    now_ms: list[int]
    checkpoints: Checkpoints
    compaction: Compaction
    tiers: NamedTier

    def caller(self, writer: Writer) -> Caller:
        """The writer as an authenticated caller."""
        return Caller(ACCOUNT, writer.device, expires=2**40)

    async def close(self) -> None:
        """Let go of the databases and their threads."""
        await self.compaction.close()
        await self.databases.close()
        await self.driver.close()


async def open_log(folder: Path, *, new: bool = False) -> Log:
    """The log in this folder, made if it is `new`."""
    driver = SqliteDriver(2)
    databases = file_databases(folder, driver)
    if new:
        await databases.create(ACCOUNT, [owner(ACCOUNT, EPOCH)])
    return log_in(databases, driver)


def log_in(databases: UserDatabases, driver: SqliteDriver) -> Log:
    """The log in these databases, with sync's services introduced to each other as the server does."""
    now_ms = [1_000_000]
    laptop, phone = Writer(ACCOUNT, 1), Writer(ACCOUNT, 2)
    devices = NamedDevices([laptop, phone])

    def clock_ms() -> int:
        return now_ms[0]

    # Small steps, so that a log of a few runs is walked in several.
    walking, tiers = Walking(step_bytes=2000), NamedTier()
    compaction = Compaction(databases, devices, clock_ms, PATIENCE, walking)
    checkpoints = Checkpoints(databases, devices, clock_ms, walking, compaction.consider)
    quotas = Quotas(tiers, Amounts(lambda: now_ms[0] / 1000))
    service = SyncService(databases, devices, clock_ms, acked=compaction.consider, quotas=quotas)
    return Log(driver, databases, service, devices, laptop, phone, now_ms, checkpoints, compaction, tiers)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    """An empty log."""
    opened = await open_log(tmp_path, new=True)
    yield opened
    await opened.close()
