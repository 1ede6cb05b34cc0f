"""The stores under test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from echolia.payments.stores.apple import AppleStore
from echolia.payments.stores.google import GoogleStore
from tests.support.app_store import AppleWorld, apple_world
from tests.support.google_play import GoogleWorld, google_world


@pytest.fixture
def engine() -> str:
    """Once is enough: what stores say has nothing to do with where it is kept."""
    return "sqlite"


@pytest.fixture
def world() -> Iterator[AppleWorld]:
    """An app in production."""
    with apple_world() as world:
        yield world


@pytest.fixture
async def apple(world: AppleWorld) -> AsyncIterator[AppleStore]:
    """The adapter for it."""
    store = AppleStore(world.access(), world.clock)
    yield store
    await store.close()


@pytest.fixture
def google_side() -> Iterator[GoogleWorld]:
    """An app in Google Play."""
    with google_world() as world:
        yield world


@pytest.fixture
async def google(google_side: GoogleWorld) -> AsyncIterator[GoogleStore]:
    """The adapter for it."""
    store = GoogleStore(google_side.access(), google_side.clock)
    yield store
    await store.close()
