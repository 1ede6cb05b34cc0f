"""While the base moves: nothing before it is promised any more, and no revocation slips in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from echolia.core.errors import EcholiaError
from echolia.storage.databases import UserDatabases
from echolia.storage.engine import Result, Statement, StorageError
from echolia.sync.compaction import DAY_MS, Compaction
from echolia.sync.open_log import OpenAccount
from echolia.sync.open_log import open_log as opened_log
from tests.sync.conftest import ACCOUNT, Log
from tests.sync.test_checkpoints import point_at, put
from tests.sync.test_compaction import acknowledged, base_of, compacted
from tests.sync.test_compaction import filled as filled  # noqa: PLC0414 — a fixture
from tests.sync.test_pull import at, pull


async def cut_off(log: Log, last: int) -> None:
    """Write a revocation of the phone with this cut-off."""
    async with log.checkpoints.cutting_off(ACCOUNT, log.phone.device, last):
        pass


@dataclass
class Meddling:
    """Accounts whose databases do something else about a unit of work that holds certain words."""

    databases: UserDatabases
    words: str
    meddle: Callable[[Callable[[], Awaitable[list[Result]]]], Awaitable[list[Result]]]

    @asynccontextmanager
    async def lease(self, account: bytes) -> AsyncIterator[OpenAccount]:
        """The account's database."""
        async with self.databases.lease(account) as db:
            yield _Meddled(self, db, db.memory)


@dataclass
class _Meddled:
    by: Meddling
    db: OpenAccount
    memory: dict[str, object]

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """A unit of work, or what is done about it."""
        if any(self.by.words in statement.sql for statement in statements):
            return await self.by.meddle(lambda: self.db.batch(statements, tx))
        return await self.db.batch(statements, tx)

    async def grow(self, statements: Sequence[Statement]) -> list[Result]:
        """A push's unit of work; the tests' disks are never full."""
        return await self.batch(statements)

    async def reclaim(self) -> None:
        """As the real one."""
        await self.db.reclaim()


async def considered(log: Log, accounts: Meddling) -> Compaction:
    """Compaction over such accounts, once a checkpoint is old enough for it."""
    await put(log, log.laptop, await point_at(log, 6))
    log.now_ms[0] += 90 * DAY_MS
    compaction = replace(log.compaction, accounts=accounts, _running={})
    async with log.databases.lease(ACCOUNT) as db:
        compaction.consider(ACCOUNT, await opened_log(db))
    return compaction


async def test_nothing_before_the_base_is_promised_from_before_it_is_written(filled: Log) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def wait(work: Callable[[], Awaitable[list[Result]]]) -> list[Result]:
        arrived.set()
        await go_on.wait()
        return await work()

    compaction = await considered(filled, Meddling(filled.databases, "INTO base", wait))
    await arrived.wait()
    revoking = asyncio.create_task(cut_off(filled, 2))
    try:
        with pytest.raises(EcholiaError) as refused:
            await pull(filled, filled.phone, cursor=at(0))
        assert refused.value.code == "must_rebase"
    finally:
        go_on.set()
        await compaction.settled()
    with pytest.raises(EcholiaError) as refused:
        await revoking
    assert refused.value.code == "must_rebase"


@pytest.mark.parametrize("words", ["INTO base", "UPDATE base"])
async def test_what_was_done_though_it_failed_is_known(filled: Log, words: str) -> None:
    async def fail(work: Callable[[], Awaitable[list[Result]]]) -> list[Result]:
        await work()
        raise StorageError

    compaction = await considered(filled, Meddling(filled.databases, words, fail))
    await compaction.settled()
    status = await filled.service.status(filled.caller(filled.phone))
    async with filled.databases.lease(ACCOUNT) as db:
        (found,) = await db.batch([Statement("SELECT base.seq, sum(length(frame)) FROM base, runs")])
    assert (status["base"], status["stored_bytes"]) == found.rows[0]


async def test_what_was_not_done_is_tried_again(filled: Log) -> None:
    async def fail(_: Callable[[], Awaitable[list[Result]]]) -> list[Result]:
        raise StorageError

    compaction = await considered(filled, Meddling(filled.databases, "INTO base", fail))
    await compaction.settled()
    assert await base_of(filled) == 0
    await acknowledged(filled, filled.laptop, 7)
    assert await base_of(filled) == 6


async def test_a_cut_off_before_the_base_is_refused_and_one_at_it_is_not(filled: Log) -> None:
    await compacted(filled, 6)
    await cut_off(filled, 3)
    with pytest.raises(EcholiaError) as refused:
        await cut_off(filled, 2)
    assert refused.value.code == "must_rebase"
