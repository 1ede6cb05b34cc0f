"""A real Redis on a free loopback port, to be stopped and started again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.deployment.processes import clean_environment, running
from tests.support.ports import free_port

INSTALL = "make services (or: apt-get install redis-server)"


class Redis:
    """`redis-server` without persistence; `url` stays the same over restarts."""

    def __init__(self, find: Callable[[str, str], str], folder: Path) -> None:
        self._binary = find("redis-server", INSTALL)
        self._folder = folder
        self._port = free_port()
        self._process = ExitStack()
        self.pid = 0
        self.url = f"redis://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [self._binary, "--bind", "127.0.0.1", "--port", str(self._port), "--save", ""]
        command += ["--appendonly", "no", "--dir", str(self._folder)]
        log = self._folder / "redis.log"
        started = running(command, self._port, log, clean_environment(), self._folder)
        self.pid = self._process.enter_context(started).pid

    def stop(self) -> None:
        """End it; a second call does nothing."""
        self._process.close()
