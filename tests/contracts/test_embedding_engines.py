"""Every engine under the one contract of the port to models that embed."""

from __future__ import annotations

import pytest

from echolia.engines.port import Engine
from tests.contracts.embedding_engine import ENGINES, EngineContract


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """One engine."""
    made: Engine = ENGINES[request.param]()
    return made


class TestEngines(EngineContract):
    """Run here for each entry of `ENGINES`."""
