"""Where a home's process is killed: the executioner, the stage, what must hold of a home in any case."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import FrameType
from typing import Any

import echolia.client
from echolia.client import Device, ledger
from echolia.core.merge import canonical_view, decode, join
from echolia.core.runs import chain_start
from tests.support.devices import World, environment
from tests.support.server import Clock, served

TRACED = str(Path(echolia.client.__file__).parent)
Work = Callable[[Path], Awaitable[None]]


class Executioner:
    """Counts the lines that run in `echolia/client`, in all threads, and kills the process at the n-th."""

    def __init__(self, kill_at: int) -> None:
        self.count, self._kill_at = 0, kill_at

    def begin(self) -> None:
        """Start counting."""
        threading.settrace(self._on_call)
        sys.settrace(self._on_call)

    def _on_call(self, frame: FrameType, event: str, _: Any) -> Any:
        return self._on_line if frame.f_code.co_filename.startswith(TRACED) else None

    def _on_line(self, frame: FrameType, event: str, _: Any) -> Any:
        self.count += 1
        if self.count == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._on_line


def forked(work: Work, folder: Path, kill_at: int | None) -> tuple[int, str]:
    """Run in a fork; gives (lines counted, "" or "killed" or what went wrong). `kill_at` None: no tracing."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        report = _run(work, folder, kill_at)
        os.write(write, json.dumps(report).encode()[:60_000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return 0, "killed" if os.WTERMSIG(status) == signal.SIGKILL else "crashed"
    count, problem = json.loads(said)
    return count, problem


def _run(work: Work, folder: Path, kill_at: int | None) -> tuple[int, str]:
    executioner = Executioner(kill_at or 0)
    try:
        if kill_at is not None:
            executioner.begin()
        asyncio.run(work(folder))  # type: ignore[arg-type]  # every scenario is a coroutine
    except BaseException:  # noqa: BLE001  # whatever it was, the parent has to hear of it
        return executioner.count, traceback.format_exc()
    finally:
        sys.settrace(None)
    return executioner.count, ""


class Stage:
    """One folder with a server and devices, opened for one scenario."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._stack = folder, AsyncExitStack()

    async def __aenter__(self) -> World:
        clock = Clock(1_795_000_000.0 + os.getpid())
        ask = await self._stack.enter_async_context(served(self.folder / "server", clock))
        return World(ask, clock, self.folder, self._stack)

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


def noted(folder: Path, kind: str, id_: str, value: str) -> None:
    """Write down, outside the home, what the device has said is done."""
    with (folder / "done").open("ab", buffering=0) as file:
        file.write(json.dumps([kind, id_, value]).encode() + b"\n")


async def opened(
    folder: Path, name: str, world: World | None = None, passphrase: str | None = None
) -> Device:
    """A device of the folder; without a world it cannot reach a server."""
    # Its dice are seeded by the process, since a device that is killed must not repeat its nonces either.
    around = world.around(name) if world else {"environment": environment(os.getpid(), Clock())}
    return await Device.open(folder / name, passphrase=passphrase, **around)


# --- scenarios ------------------------------------------------------------------------------------


def check_home(device: Device) -> None:
    """The outbox continues the chain without a gap, and every object shows what it should."""
    database, identity = device._replica.database, device._replica.identity
    head = ledger.heads(database).get(identity.device)
    counter, chain = head or (0, chain_start(identity.account, identity.device))
    for row in database.rows("SELECT counter, change, chain FROM outbox ORDER BY counter"):
        counter, chain = counter + 1, ledger.chained(chain, row[1])
        assert row[::2] == (counter, chain)
    for id_, confirmed, shown in database.rows("SELECT id, confirmed, shown FROM objects"):
        states = [decode(raw) for raw in (confirmed,) if raw is not None]
        pending = database.rows("SELECT plaintext FROM outbox WHERE object = ? ORDER BY counter", id_)
        states += [decode(raw) for (raw,) in pending]
        whole = states[0]
        for state in states[1:]:
            whole = join(whole, state)
        assert canonical_view(whole) == canonical_view(decode(confirmed if shown is None else shown))
        assert bool(pending) == (shown is not None)


def states(device: Device) -> dict[bytes, bytes]:
    """The canonical form of every object that the device shows."""
    rows = device._replica.database.rows("SELECT id, coalesce(shown, confirmed) FROM objects")
    return {id_: canonical_view(decode(raw)) for id_, raw in rows}


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []
