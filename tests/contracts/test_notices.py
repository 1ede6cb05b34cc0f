"""Every way of notices under the one contract of their port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.contracts.notices import MEDIA, Medium, NoticesContract

REAL = {"redis", "postgres", "database-postgres"}
PARAMS = [pytest.param(name, marks=[pytest.mark.service] if name in REAL else [], id=name) for name in MEDIA]


@pytest.fixture(params=PARAMS)
async def medium(
    request: pytest.FixtureRequest, tmp_path: Path, service_binary: Callable[[str, str], str]
) -> AsyncIterator[Medium]:
    """An empty medium."""
    medium = MEDIA[request.param](tmp_path, service_binary, lambda: request.getfixturevalue("postgres"))
    yield medium
    await medium.close()


class TestNotices(NoticesContract):
    """Run here for each entry of `MEDIA`."""
