"""Several server processes on one data folder: started, kept alive, and given the directory that they share.

The supervisor owns the data folder and has the directory open; workers ask it over a socket, so that there is
one connection to the file. They share the listening socket, so that the kernel gives each new connection to
one that is free. A worker that ends is started anew; workers end when their supervisor does.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from echolia.app import Place, running
from echolia.auth.service.access_tokens import load_keys
from echolia.core.errors import EcholiaError
from echolia.data_folder import whole_folder
from echolia.sealed.key_ring import Chain, KeyRing
from echolia.serving import access_log_of, announce, answer, ended, listening, run
from echolia.settings import Settings
from echolia.storage.reserve import Reserve
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.web.sealed_door import Sealing, load_identity, sealing_alone
from echolia.workers import remote_database, remote_replays
from echolia.workers.channel import Handler, Hearing
from echolia.workers.node import folder_of
from echolia.workers.remote_database import RemoteDatabase
from echolia.workers.remote_replays import RemoteReplays
from echolia.workers.secured import numbered
from echolia.workers.sockets import SUPERVISOR, connect, listen

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
# Who ends sooner than that after its start is started anew only after a pause, which grows.
_SHORT_LIFE_S: Final = 5.0
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
# Beyond the time that requests get: to close the databases.
_TO_CLOSE_S: Final = 10.0


def serve(settings: Settings) -> None:
    """Run the server as `settings.workers` processes until SIGINT or SIGTERM, then end them in order."""
    with listening(settings) as listener:
        run(settings, lambda: _supervise(settings, listener))


def work(given: str, number: int, descriptor: int) -> None:
    """Be that worker: `given` are the supervisor's settings and the keys of sealed requests as JSON, which no
    disk and no list of processes sees; `descriptor` is its listening socket.
    """
    said = json.loads(given)
    settings, chain = Settings(**said["settings"]), Chain.load(said["chain"])
    with socket.socket(fileno=descriptor) as listener:
        run(settings, lambda: _work(settings, chain, number, listener))


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000


async def _work(settings: Settings, chain: Chain, number: int, listener: socket.socket) -> None:
    supervisor = await connect(folder_of(settings.data), SUPERVISOR)
    directory = RemoteDatabase("directory", supervisor.ask)
    access_log = access_log_of(settings)
    ready: list[asyncio.Task[Any]] = []
    sealing = Sealing(KeyRing(chain, _clock_ms), RemoteReplays(supervisor.ask))
    try:
        async with running(
            settings, access_log=access_log, directory=directory, place=Place(number, sealing)
        ) as application:
            await answer(
                application,
                settings,
                listener,
                lambda port: ready.append(asyncio.create_task(supervisor.ask("ready", port))),
                supervisor.ended,
            )
    finally:
        await supervisor.close()
    ended(access_log)


async def _supervise(settings: Settings, listener: socket.socket) -> None:
    driver, reserve = SqliteDriver(settings.threads), Reserve(settings.data, settings.disk_reserve_bytes)
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        async with whole_folder(settings, driver, reserve) as directory:
            if not settings.address:  # made here, so that not each of the workers makes its own
                load_keys(settings.data / "keys", _clock_ms(), settings.access_token_seconds * 1000)
            load_identity(settings.data / "keys" / "sealed")  # likewise
            sealing = sealing_alone(_clock_ms, secrets.token_bytes)
            crew = Crew(settings, listener, sealing.ring)
            verbs: dict[str, Handler] = {
                **remote_database.answering("directory", directory),
                "ready": crew.ready,
                **remote_replays.answering(sealing.replays),
            }
            hearing = Hearing(verbs)
            server = await listen(folder_of(settings.data), SUPERVISOR, hearing)
            try:
                await crew.run()
            finally:
                server.close()
                await hearing.close()
    finally:
        await driver.close()


class Crew:
    """The worker processes."""

    def __init__(self, settings: Settings, listener: socket.socket, ring: KeyRing) -> None:
        self._settings = settings
        self._ring = ring
        self._listener = listener
        self._processes: dict[int, Process] = {}
        self._ready = 0
        self._failed = False
        self._ending = asyncio.Event()

    async def ready(self, port: int) -> None:
        """One of them has begun to answer."""
        self._ready += 1
        if self._ready == self._settings.workers:
            announce(self._settings, port)

    async def run(self) -> None:
        """Keep all alive until a signal; then end them. Raises: `unavailable` where one cannot start."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._ending.set)
        keeping = [asyncio.create_task(self._keep(n)) for n in range(1, self._settings.workers + 1)]
        try:
            await self._ending.wait()
            await self._end()
        finally:
            await asyncio.gather(*keeping, return_exceptions=True)
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
        if self._failed:
            raise EcholiaError("unavailable", "a worker cannot start")

    async def _keep(self, number: int) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._ending.is_set():
            begun = time.monotonic()
            process = await self._start(number)
            status = await process.wait()
            if self._ending.is_set():
                return
            structlog.get_logger().error("worker_died", worker=number, status=abs(status))
            if self._ready < self._settings.workers:
                # The first of all starts: it has said why, and would say it for ever.
                self._failed = True
                self._ending.set()
            elif time.monotonic() - begun < _SHORT_LIFE_S:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._ending.wait()
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            else:
                pause_s = _FIRST_PAUSE_S

    async def _start(self, number: int) -> Process:
        descriptor = self._listener.fileno()
        process = await asyncio.create_subprocess_exec(
            *command(number, descriptor), stdin=PIPE, pass_fds=(descriptor,)
        )
        self._processes[number] = process
        assert process.stdin is not None
        own = self._settings_of(number).model_dump(mode="json")
        process.stdin.write(json.dumps({"settings": own, "chain": self._ring.chain().dump()}).encode())
        process.stdin.close()
        structlog.get_logger().info("worker_started", worker=number)
        return process

    def _settings_of(self, number: int) -> Settings:
        """A worker's settings: other machines reach each at another port."""
        address = self._settings.address
        return self._settings.model_copy(update={"address": numbered(address, number) if address else ""})

    async def _end(self) -> None:
        """Let all end in order; who does not is ended."""
        running_ones = [process for process in self._processes.values() if process.returncode is None]
        for process in running_ones:
            with suppress(ProcessLookupError):
                process.terminate()
        waits = [asyncio.create_task(process.wait()) for process in running_ones]
        if waits:
            await asyncio.wait(waits, timeout=self._settings.shutdown_seconds + _TO_CLOSE_S)
        for process in running_ones:
            if process.returncode is None:
                process.kill()


def command(number: int, descriptor: int) -> Sequence[str]:
    """How a worker is started."""
    return [sys.executable, "-m", "echolia.supervising", str(number), str(descriptor)]


if __name__ == "__main__":
    work(sys.stdin.read(), *map(int, sys.argv[1:]))
