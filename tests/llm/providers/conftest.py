"""llmock, and a server that answers with the very bytes that a test gives it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.llm.providers.scripted import Scripted
from tests.support.llmock_fixtures import llmock, llmock_process
from tests.support.ports import free_port

__all__ = ["llmock", "llmock_process", "scripted", "unused_port"]


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    """A running one."""
    async with Scripted() as server:
        yield server


@pytest.fixture
def unused_port() -> int:
    """A port that nobody listens on."""
    return free_port()
