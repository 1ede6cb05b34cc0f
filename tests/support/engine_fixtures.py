"""A fixture that has each test of a module, or of a room, run on both engines of the directory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.engines import ENGINE


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.service)], autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """The engine's name."""
    if request.param == "sqlite":
        yield "sqlite"
        return
    with ENGINE.on(request.getfixturevalue("postgres")):
        yield "postgres"
