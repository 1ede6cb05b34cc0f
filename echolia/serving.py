"""A server as a process: its socket, its signals, its log, and what it says when it starts."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import resource
import shutil
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final

import structlog
import uvicorn
import uvloop

from echolia import __version__, own_memory
from echolia.app import running
from echolia.core.errors import EcholiaError
from echolia.llm.providers.environment import refuse_leaking_environment
from echolia.settings import Settings
from echolia.web import logs
from echolia.web.gate import Gate
from echolia.web.streams import HEARTBEAT_S
from echolia.web.websocket import ListeningSocket

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def serve(settings: Settings) -> None:
    """Run the server until SIGINT or SIGTERM, then end it in order; exits with 1 where it cannot run."""

    async def alone(listener: socket.socket) -> None:
        access_log = access_log_of(settings)
        async with running(settings, access_log=access_log) as application:
            await answer(application, settings, listener, lambda port: announce(settings, port))
        ended(access_log)

    with listening(settings) as listener:
        run(settings, lambda: alone(listener))


def run(settings: Settings, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run this process to its end; an expected failure is told in one line, and it exits with 1."""
    # Whatever is written into the data folder is for this user alone.
    os.umask(0o077)
    own_memory.keep()
    _allow_connections()
    logs.configure(settings.log_level, sys.stderr)
    logs.take_hooks()
    try:
        refuse_leaking_environment(os.environ)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work())
    except EcholiaError as error:
        detail = f" ({error.detail})" if error.detail else ""
        sys.stderr.write(f"echolia: {error.meaning}{detail} [{error.code}]\n")
        raise SystemExit(1) from None


def _allow_connections() -> None:
    """As many open files as this process may have: each listener is one, and the usual limit a thousand."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # a system may name a limit that it does not keep
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def listening(settings: Settings) -> socket.socket:
    """The socket that the settings name; exits with 1 where there is none to be had."""
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"port {port} is in use; stop what uses it, or choose another with --port"
        else:
            reason = f"cannot listen on {host}, port {port}: {os.strerror(error.errno or 0)}"
        sys.stderr.write(f"echolia: {reason}\n")
        raise SystemExit(1) from None


def access_log_of(settings: Settings) -> logs.AccessLog | None:
    """The log of requests, where the settings want one."""
    loop = asyncio.get_running_loop()
    shown = settings.log_level in ("debug", "info")
    return logs.AccessLog(sys.stderr, loop.call_later, time.time) if shown else None


async def answer(
    application: Gate,
    settings: Settings,
    listener: socket.socket,
    started: Callable[[int], None],
    until: Callable[[], Awaitable[object]] | None = None,
) -> None:
    """Answer what comes to the socket until a signal, or until `until` returns; `started` gets the port."""
    config = uvicorn.Config(
        application,
        lifespan="off",  # the databases are open already: a failure to open them is told in one line
        loop="none",
        http="httptools",
        ws=ListeningSocket,
        ws_ping_interval=HEARTBEAT_S,
        log_config=None,
        access_log=False,  # the gate has its own: uvicorn's tells paths, queries and addresses
        proxy_headers=False,  # `Origins` reads X-Forwarded-For, from trusted proxies alone
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    server = _Server(config, application.end, started)

    async def leave() -> None:
        if until is not None:
            await until()
            server.handle_exit(signal.SIGTERM, None)

    # What was loaded to serve stays: to look through all of it for garbage would stop everybody for a fifth
    # of a second, now and then, where the libraries of providers are in memory.
    gc.collect()
    gc.freeze()
    leaving = asyncio.create_task(leave())
    await server.serve([listener])
    leaving.cancel()


def ended(access_log: logs.AccessLog | None) -> None:
    """Write what is left to be said."""
    if access_log is not None:
        access_log.flush()
    structlog.get_logger().info("server_stopped")


class _Server(uvicorn.Server):
    """uvicorn's, which says where it listens, and for which a signal is an order to end and not a failure."""

    def __init__(
        self, config: uvicorn.Config, end: Callable[[], None], listens: Callable[[int], None]
    ) -> None:
        super().__init__(config)
        self._end = end
        self._listens = listens

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started and sockets:
            port = sockets[0].getsockname()[1]
            structlog.get_logger().info("server_started", version=__version__, port=port)
            self._listens(port)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop taking connections, and let streams and waits end now rather than at their timeout."""
        super().handle_exit(sig, frame)
        self._end()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Let a signal end the server; unlike uvicorn's it is not raised again: the process exits with 0."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


def announce(settings: Settings, port: int) -> None:
    """Say on standard output where the server listens, and what to do next."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104  # told, not bound
    url = f"http://[{host}]:{port}" if ":" in host and not host.startswith("[") else f"http://{host}:{port}"
    sys.stdout.write(
        f"Echolia {__version__} listens on {url}, data in {settings.data}\n"
        f"On a device: {_command()} init --server {url} --home ./laptop\n"
    )
    sys.stdout.flush()


def _command() -> str:
    """How this program was called, so that the line can be pasted."""
    called = Path(sys.argv[0])
    if called.name != "echolia":
        return "echolia"
    on_path = shutil.which("echolia")
    return "echolia" if on_path and Path(on_path).resolve() == called.resolve() else str(called)
