"""A server in this process and devices on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.devices import World
from tests.support.server import Clock, served


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A server without accounts."""
    clock = Clock()
    async with served(tmp_path / "server", clock) as ask, AsyncExitStack() as stack:
        yield World(ask, clock, tmp_path, stack)
