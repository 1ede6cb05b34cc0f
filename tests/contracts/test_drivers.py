"""Every driver under the one contract of the database port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from echolia.storage.engine import Database
from tests.contracts.driver import TABLE, DriverContract, Home, SqliteHome
from tests.contracts.snapshots import SnapshotContract
from tests.support.other_process import RemoteHome
from tests.support.sqld import SqldHome


@pytest.fixture(params=["sqlite", "other process", pytest.param("sqld", marks=pytest.mark.service)])
async def home(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Home]:
    """An empty home of one driver."""
    home: Home
    if request.param == "sqlite":
        home = SqliteHome(tmp_path)
    elif request.param == "other process":
        home = RemoteHome(tmp_path)
    else:
        home = SqldHome(request.getfixturevalue("sqld"))
    yield home
    await home.close()


@pytest.fixture
async def db(home: Home) -> AsyncIterator[Database]:
    """A database with the table of the contract."""
    db = await home.make("main")
    await db.batch([TABLE])
    yield db
    await db.close()


class TestDrivers(DriverContract, SnapshotContract):
    """Run here for each driver."""
