"""Fixtures of rooms that ask a whole server in this process: its clock, who asks it, an account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.accounts import Account
from tests.support.asgi import Asker
from tests.support.server import Clock, served


@pytest.fixture
def clock() -> Clock:
    """The server's time."""
    return Clock()


@pytest.fixture
async def ask(tmp_path: Path, clock: Clock) -> AsyncIterator[Asker]:
    """A server that this asks."""
    async with served(tmp_path / "data", clock) as asker:
        yield asker


@pytest.fixture
async def anna(ask: Asker) -> Account:
    """A registered account; `ask` carries its first device's token from now on."""
    account = Account("anna")
    ask.token = (await account.register(ask))["access"]
    return account
