"""The demonstration's server: the real one, as a process of its own, on a free port."""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from echolia.core.errors import EcholiaError

STARTS_WITHIN_S: Final = 30.0
STOPS_WITHIN_S: Final = 10.0
_ADDRESS: Final = re.compile(r"http://\S+:\d+")


@contextmanager
def running_server(data: Path) -> Iterator[str]:
    """A server with its data in that folder; gives its address, and stops it in the end.

    Raises `server_unreachable` if it does not start.
    """
    words = ("-m", "echolia", "serve", "--port", "0", "--data", str(data), "--log-level", "error")
    # What the person has set for a server of their own is not for this one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ECHOLIA_")}
    process = subprocess.Popen(  # noqa: S603 - this very program, with words of its own
        [sys.executable, *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the demonstration, which then stops the server in order
    )
    with process:
        try:
            yield _address(process)
        finally:
            _stop(process)


def _address(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if selector.select(STARTS_WITHIN_S) else b""
    found = _ADDRESS.search(line.decode("utf-8", "replace"))
    if found is None:
        raise EcholiaError("server_unreachable", "it did not start")
    return found.group().rstrip(",")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOPS_WITHIN_S)
    finally:
        process.kill()  # nothing, if it has ended
