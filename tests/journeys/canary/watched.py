"""A real server as a process of its own, with everything it leaves kept where it can be searched."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.deployment.processes import BIN, clean_environment, running
from tests.journeys.canary.encodings import Searcher
from tests.journeys.canary.flock import Flock
from tests.journeys.canary.places import Find, Place, files, search, tables
from tests.journeys.canary.wire import Wire
from tests.support.ports import free_port

_LIMITS: Final = (
    "register", "register_free", "challenge", "token", "refresh", "mailbox", "anonymous", "account", "push",
    "pull", "ledger", "llm", "embeddings", "webhook",
)  # fmt: skip
GENEROUS: Final = {
    **{f"{name}_per_minute": "1000000" for name in _LIMITS},
    "disk_reserve_bytes": "65536",
    "llm_tokens_per_day": "0",
    "embeddings": "deterministic",
    "embeddings_tokens_per_day": "0",
    "sandbox_store": "1",
}
# A proxy that is believed, so that the server works with the address that requests name.
BEHIND: Final = {"trusted_proxies": "127.0.0.1/32"}


@dataclass
class Watched:
    """A running server, who asks it, and where it may write."""

    folder: Path
    wire: Wire
    process: subprocess.Popen[bytes]

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.folder / "data"

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.wire.port}"

    def places(self) -> Iterator[Place]:
        """Everything it has left so far, but for what it told the system."""
        return left_in(self.folder, self.wire)

    def kill(self) -> None:
        """End it as a power cut would."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


def left_in(folder: Path, wire: Wire | None = None) -> Iterator[Place]:
    """Log, data folder, databases and temporary files of a server that has its `folder`, and its answers."""
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    for path in sorted(folder.iterdir()):  # a dump of the process would lie here as well
        if path.is_file():
            name = "log" if path.name == "server.log" else f"beside {path.name}"
            yield Place(name, path.read_bytes())
    yield from files(folder / "data")
    yield from tables(folder / "data", scratch)
    for place in (*files(folder / "tmp"), *files(folder / "home")):
        yield Place(f"temporary {place.name}", place.content)
    if wire is not None:
        yield from wire.places()


def found_in(folder: Path, flock: Flock, wire: Wire | None = None) -> dict[Find, bytes]:
    """Every canary of the flock in what a server left."""
    return search(Searcher(flock), left_in(folder, wire))


@contextlib.contextmanager
def watched(
    folder: Path,
    flock: Flock,
    *,
    port: int | None = None,
    before: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
) -> Iterator[Watched]:
    """`echolia serve` with debug logging; `before` are words to put before the command, such as a tracer's.

    Its log, its data, its temporary files and its home lie in `folder`; limits are out of the way unless
    `settings` (names in lower case) set them.
    """
    for name in ("tmp", "home"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    command = [*before, str(BIN / "echolia"), "serve", "--port", str(port)]
    command += ["--data", str(folder / "data"), "--log-level", "debug"]
    named = {**GENEROUS, **BEHIND, **(settings or {})}
    temporary = str(folder / "tmp")
    environment = clean_environment(
        TMPDIR=temporary,
        SQLITE_TMPDIR=temporary,
        HOME=str(folder / "home"),
        **{f"ECHOLIA_{name.upper()}": value for name, value in named.items()},
    )
    with running(command, port, folder / "server.log", environment, folder) as process:
        server = Watched(folder, Wire(port, flock, data=folder / "data"), process)
        try:
            yield server
        finally:
            server.wire.close()
