"""What is answered as stored is stored: a commit that fails is neither acknowledged nor remembered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from echolia.storage.databases import UserDatabases
from echolia.storage.engine import Result, Statement, StorageFull
from echolia.sync.open_log import OpenAccount
from tests.sync.conftest import Log


@dataclass
class FullDatabase:
    """An account's open database on a disk that takes nothing more."""

    whole: OpenAccount

    @property
    def memory(self) -> dict[str, object]:
        """The same as ever."""
        return self.whole.memory

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """Reads are answered."""
        if any(statement.sql.lstrip().startswith("INSERT") for statement in statements):
            raise StorageFull
        return await self.whole.batch(statements, tx)

    async def grow(self, statements: Sequence[Statement]) -> list[Result]:
        """What would store more has no room."""
        return await self.batch(statements)


@dataclass
class FullDisk:
    """The `Accounts` port over databases whose disk is full."""

    databases: UserDatabases

    def lease(self, account: bytes) -> AbstractAsyncContextManager[OpenAccount]:
        """See `Accounts`."""
        return self._lease(account)

    @asynccontextmanager
    async def _lease(self, account: bytes) -> AsyncIterator[OpenAccount]:
        async with self.databases.lease(account) as database:
            yield FullDatabase(database)  # type: ignore[misc]  # `memory` is only read


async def test_a_commit_that_fails_is_not_acknowledged(log: Log) -> None:
    full = replace(log.service, accounts=FullDisk(log.databases))
    log.laptop.write(3)
    frame = log.laptop.run()
    with pytest.raises(StorageFull):
        await full.push(log.caller(log.laptop), [frame])
    assert (await log.service.status(log.caller(log.laptop)))["head"]["seq"] == 0
    answer = await log.service.push(log.caller(log.laptop), [frame])
    assert [(run["status"], run["seq"]) for run in answer["runs"]] == [("stored", 1)]
