"""One llmock for all tests of a process, which forgets before each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.llmock import Llmock


@pytest.fixture(scope="session")
def llmock_process(
    service_binary: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Llmock]:
    """A running llmock."""
    process = Llmock(service_binary, tmp_path_factory.mktemp("llmock"))
    yield process
    process.close()


@pytest.fixture
def llmock(llmock_process: Llmock) -> Llmock:
    """The running llmock, which knows nothing of former tests."""
    llmock_process.reset()
    return llmock_process
