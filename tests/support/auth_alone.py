"""The services of accounts and tokens without HTTP around them, over real databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from echolia.auth.service import Auth, open_auth
from echolia.auth.service.access_tokens import load_keys
from echolia.storage.engine import Database
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.web.tiers import OneTier
from tests.support.engines import opened_directory
from tests.support.file_databases import file_databases
from tests.support.server import Clock, settings_for


@asynccontextmanager
async def auth_alone(
    data: Path,
    clock: Clock | None = None,
    through: Callable[[Database], Database] = lambda directory: directory,
) -> AsyncIterator[Auth]:
    """The services; they see the directory as `through` gives it to them."""
    now = clock or Clock()

    def clock_ms() -> int:
        return int(now() * 1000)

    driver = SqliteDriver(2)
    async with opened_directory(data) as directory:
        databases = file_databases(data / "users", driver, directory=directory)
        keys = load_keys(data / "keys", clock_ms(), 900_000)
        try:
            yield open_auth(settings_for(data), through(directory), databases, keys, clock_ms, OneTier())
        finally:
            await databases.close()
            await driver.close()
