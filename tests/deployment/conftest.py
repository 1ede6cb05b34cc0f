"""What the deployment tests start: Caddy with the repository's Caddyfile, and the real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from tests.deployment.processes import BIN, clean_environment, get, running
from tests.support.ports import free_port

CADDY_INSTALL = "make services (or: apt-get install caddy)"


class Listener(NamedTuple):
    """A started program: where it listens and where its words go."""

    port: int
    log: Path


class StartCaddy(Protocol):
    """Start Caddy in front of a loopback port, with the repository's Caddyfile unless another is given."""

    def __call__(
        self, upstream_port: int, caddyfile: Path | None = None
    ) -> AbstractContextManager[Listener]: ...


@pytest.fixture
def start_caddy(service_binary: Callable[[str, str], str], repository: Path, tmp_path: Path) -> StartCaddy:
    """Start Caddy with the Caddyfile as it is, changed by environment variables only."""
    binary = service_binary("caddy", CADDY_INSTALL)

    @contextmanager
    def start(upstream_port: int, caddyfile: Path | None = None) -> Iterator[Listener]:
        listener = Listener(free_port(), tmp_path / "caddy.log")
        environment = clean_environment(
            CADDY_SITE=f"http://127.0.0.1:{listener.port}",
            CADDY_BIND="127.0.0.1",
            CADDY_UPSTREAM=f"127.0.0.1:{upstream_port}",
            HOME=str(tmp_path),
            XDG_CONFIG_HOME=str(tmp_path / "config"),
            XDG_DATA_HOME=str(tmp_path / "data"),
        )
        command = [
            binary,
            "run",
            "--config",
            str(caddyfile or repository / "Caddyfile"),
            "--adapter",
            "caddyfile",
        ]
        with running(command, listener.port, listener.log, environment, tmp_path):
            yield listener

    return start


@contextmanager
def serving(
    folder: Path, port: int | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[Listener]:
    """The real server with its data in `folder`/data, on a free loopback port unless one is given."""
    listener = Listener(port or free_port(), folder / "server.log")
    command = [str(BIN / "echolia"), "serve", "--port", str(listener.port), "--data", str(folder / "data")]
    with running(command, listener.port, listener.log, clean_environment(**(settings or {})), folder):
        # It listens before its databases are open, and answers once they are.
        assert get(listener.port, "/healthz")[0] == 200
        yield listener


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    """The real server as a newcomer starts it."""
    with serving(tmp_path_factory.mktemp("server")) as listener:
        yield listener
