"""Every transport under the one contract of the port to a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from echolia.client.transport import Transport
from tests.contracts.transport import WAYS, TransportContract, Ways


@pytest.fixture(params=WAYS)
async def ways(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ways]:
    """One way to a server, and to nobody."""
    async with WAYS[request.param](tmp_path) as found:
        yield found
        for transport in found:
            await transport.close()


@pytest.fixture
def there(ways: Ways) -> Transport:
    """A transport to a server."""
    return ways[0]


@pytest.fixture
def nowhere(ways: Ways) -> Transport:
    """A transport to nobody."""
    return ways[1]


class TestTransports(TransportContract):
    """Run here for each entry of `WAYS`."""
