"""A fake App Store, for its contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.app_store import AppleWorld, apple_world
from tests.support.google_play import GoogleWorld, google_world


@pytest.fixture
def world() -> Iterator[AppleWorld]:
    """An app in production."""
    with apple_world() as world:
        yield world


@pytest.fixture
def google_side() -> Iterator[GoogleWorld]:
    """An app in Google Play."""
    with google_world() as world:
        yield world
