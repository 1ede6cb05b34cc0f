"""Two servers in this process: one to leave, one to go to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.devices import World
from tests.support.server import Clock, served


@pytest.fixture
async def elsewhere(tmp_path: Path) -> AsyncIterator[World]:
    """Another server, without accounts."""
    clock = Clock()
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    async with served(folder / "server", clock) as ask, AsyncExitStack() as stack:
        yield World(ask, clock, folder, stack)
