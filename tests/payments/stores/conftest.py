"""The stores under test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from echolia.payments.stores.apple import AppleStore
from tests.support.app_store import AppleWorld, apple_world


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
