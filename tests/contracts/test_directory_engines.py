"""Both engines of the directory under their one contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from echolia.storage.engine import Database
from tests.contracts.directory_engine import ENGINES, TABLE, DirectoryEngineContract
from tests.contracts.driver import Home

PARAMS = [pytest.param(name, marks=[pytest.mark.service] * (name == "postgres")) for name in ENGINES]


@pytest.fixture(params=PARAMS)
async def home(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Home]:
    """An empty home of one engine."""
    home = ENGINES[request.param](tmp_path, lambda: request.getfixturevalue("postgres"))
    yield home
    await home.close()


@pytest.fixture
async def db(home: Home) -> AsyncIterator[Database]:
    """A database with the table of the contract."""
    db = await home.make("main")
    await db.batch([TABLE])
    yield db
    await db.close()


class TestDirectoryEngines(DirectoryEngineContract):
    """Run here for each entry of `ENGINES`."""
