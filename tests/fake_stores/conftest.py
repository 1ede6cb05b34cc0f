"""A fake App Store, for its contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.app_store import AppleWorld, apple_world


@pytest.fixture
def world() -> Iterator[AppleWorld]:
    """An app in production."""
    with apple_world() as world:
        yield world
