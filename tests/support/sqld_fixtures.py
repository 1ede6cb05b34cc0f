"""A real sqld for the contracts of what keeps databases there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.sqld import SqldProcess


@pytest.fixture(scope="session")
def sqld(
    service_binary: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SqldProcess]:
    """One that all tests of a run share."""
    process = SqldProcess(service_binary, tmp_path_factory.mktemp("sqld"))
    process.start()
    yield process
    process.stop()
