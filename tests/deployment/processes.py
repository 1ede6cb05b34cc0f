"""Programs started for a test: on loopback, in their own process group, ended by their own id."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.surroundings import without_settings

BIN = Path(sys.executable).parent
START_S = 30.0
STOP_S = 15.0


def wait_until(condition: Callable[[], bool], what: str, seconds: float = START_S) -> None:
    """Ask `condition` again until it holds; TimeoutError names `what` did not come."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise TimeoutError(what)


def listening(port: int) -> bool:
    """Whether somebody accepts connections on the loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def running(
    command: Sequence[str], port: int, log: Path, environment: Mapping[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Start `command`, wait until it listens on `port`, and end it after; what it says goes to `log`.

    Raises: TimeoutError when it does not listen, TimeoutExpired when it does not end, in time.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder, env=dict(environment)
        )
    try:
        wait_until(lambda: process.poll() is not None or listening(port), f"{command[0]} on {port}")
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def clean_environment(**settings: str) -> dict[str, str]:
    """This environment without any of Echolia's settings but the given ones, and its programs on the PATH."""
    kept = {name: value for name, value in without_settings().items() if not name.startswith("CADDY_")}
    return {**kept, "PATH": f"{BIN}:{os.environ['PATH']}", **settings}


def find_program(name: str) -> str | None:
    """A program of this virtual environment or of the machine."""
    return shutil.which(name, path=f"{BIN}:{os.environ['PATH']}")


def get(
    port: int, target: str, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """GET over a fresh connection: status, headers in lower case, body. The target is sent as it is."""
    return send(port, "GET", target, headers=headers)


def send(
    port: int, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """One request over a fresh connection: status, headers in lower case, body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_S)
    with contextlib.closing(connection):
        connection.request(method, target, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
