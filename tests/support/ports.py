"""Loopback ports for programs that a test starts, which nobody else is given meanwhile."""

from __future__ import annotations

import itertools
import os
import random
import socket
from typing import Final

# Below the range out of which systems hand out ports (32768 on, or 49152 on): while a program starts, no
# listener of another test and no outgoing connection can be given its port, and no probe can meet itself.
_FIRST: Final = 10_000
_EACH: Final = 1_400  # for each of up to 16 test processes
_OWN: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 16
_turns = itertools.count(random.randrange(_EACH))  # runs beside each other begin elsewhere


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    for turn in itertools.islice(_turns, _EACH):
        port = _FIRST + _OWN * _EACH + turn % _EACH
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no loopback port is free")
