"""Every provider of models under the one contract of their port."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from echolia.llm.providers.port import Provider
from tests.contracts.provider import ADAPTERS, SETTINGS, EchoSetting, LlmockSetting, ProviderContract, Setting
from tests.support.llmock_fixtures import llmock, llmock_process

__all__ = ["llmock", "llmock_process"]

PARAMS = [pytest.param(name, marks=pytest.mark.service if name in ADAPTERS else []) for name in SETTINGS]


@pytest.fixture(params=PARAMS)
def setting(request: pytest.FixtureRequest) -> Setting:
    """One of `SETTINGS`."""
    name = request.param
    if name == "echo":
        return EchoSetting()
    kind, model = ADAPTERS[name]
    return LlmockSetting(request.getfixturevalue("llmock"), kind, name, model)


@pytest.fixture
async def provider(setting: Setting) -> AsyncIterator[Provider]:
    """Its provider, with all abilities."""
    provider = setting.make()
    yield provider
    await provider.close()


class TestProviders(ProviderContract):
    """Run here for each of `SETTINGS`."""
