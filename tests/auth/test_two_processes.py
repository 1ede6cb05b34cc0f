"""Two processes, one directory: of two that do the same at once, one does it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from echolia.auth.store import accounts, mailboxes, sign_in
from echolia.core.device_log import DeviceLog
from echolia.storage.engine import ConstraintViolated, Database, Result, Statement
from echolia.storage.registry import DirectoryRegistry
from tests.support.accounts import Account, Keys
from tests.support.engine_fixtures import engine
from tests.support.engines import opened_directory

__all__ = ["engine"]  # each test runs on both engines

Two = tuple[Database, Database]
ROUNDS = 8


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    """Two processes' ways to the directory."""
    async with opened_directory(tmp_path) as one, opened_directory(tmp_path) as other:
        yield one, other


def nothing() -> Statement:
    """What an account begins with besides."""
    return Statement("DELETE FROM challenges WHERE challenge = ?", (b"",))


async def registered(db: Database, account: Account) -> None:
    """Write the account."""
    log = DeviceLog.from_entries([account.entries[0]])
    await accounts.insert(db, log, account.entries[0], [], 1, nothing())


async def count(db: Database, table: str) -> int:
    """How many rows there are."""
    [result] = await db.batch([Statement(f"SELECT count(*) FROM {table}")])
    return int(str(result.rows[0][0]))
