"""While the base moves: nothing before it is promised any more, and no revocation slips in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from echolia.core.errors import EcholiaError
from echolia.storage.databases import UserDatabases
from echolia.storage.engine import Result, Statement
from echolia.sync.compaction import DAY_MS
from echolia.sync.open_log import OpenAccount
from echolia.sync.open_log import open_log as opened_log
from tests.sync.conftest import ACCOUNT, Log
from tests.sync.test_checkpoints import point_at, put
from tests.sync.test_compaction import compacted
from tests.sync.test_compaction import filled as filled  # noqa: PLC0414 — a fixture
from tests.sync.test_pull import at, pull


async def cut_off(log: Log, last: int) -> None:
    """Write a revocation of the phone with this cut-off."""
    async with log.checkpoints.cutting_off(ACCOUNT, log.phone.device, last):
        pass


@dataclass
class Pausing:
    """Accounts whose databases wait before the base is written."""

    databases: UserDatabases
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def lease(self, account: bytes) -> AsyncIterator[OpenAccount]:
        """The account's database, which waits."""
        async with self.databases.lease(account) as db:
            yield _Paused(self, db, db.memory)


@dataclass
class _Paused:
    pausing: Pausing
    db: OpenAccount
    memory: dict[str, object]

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """A unit of work; that which moves the base waits."""
        if "INTO base" in statements[0].sql:
            self.pausing.arrived.set()
            await self.pausing.go_on.wait()
        return await self.db.batch(statements, tx)


async def test_nothing_before_the_base_is_promised_from_before_it_is_written(filled: Log) -> None:
    await put(filled, filled.laptop, await point_at(filled, 6))
    filled.now_ms[0] += 90 * DAY_MS
    pausing = Pausing(filled.databases)
    compaction = replace(filled.compaction, accounts=pausing, _running={})
    async with filled.databases.lease(ACCOUNT) as db:
        compaction.consider(ACCOUNT, await opened_log(db))
    await pausing.arrived.wait()
    with pytest.raises(EcholiaError) as refused:
        await pull(filled, filled.phone, cursor=at(0))
    assert refused.value.code == "must_rebase"
    revoking = asyncio.create_task(cut_off(filled, 2))
    pausing.go_on.set()
    with pytest.raises(EcholiaError) as refused:
        await revoking
    assert refused.value.code == "must_rebase"
    await compaction.settled()


async def test_a_cut_off_before_the_base_is_refused_and_one_at_it_is_not(filled: Log) -> None:
    await compacted(filled, 6)
    await cut_off(filled, 3)
    with pytest.raises(EcholiaError) as refused:
        await cut_off(filled, 2)
    assert refused.value.code == "must_rebase"
