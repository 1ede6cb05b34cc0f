"""What the payments room's tests ask for: a shop, and the time in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.payments.shop import Shop, shop
from tests.support.engine_fixtures import engine

__all__ = ["engine"]  # each test runs on both engines


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Shop]:
    """A server that sells."""
    async with shop(tmp_path / "data") as opened:
        yield opened
