"""Whether a process still runs: those of this host hold a lock as long as they do, others tell by beats."""

from __future__ import annotations

import os
import platform
import secrets
import time
from collections.abc import Collection
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from echolia.storage.owner_lock import OwnerLock, is_owned
from echolia.workers.placement import Pulse
from echolia.workers.store import Worker

HOST_BYTES: Final = 16


def since_boot_ms() -> int:
    """A clock that nobody sets, and that counts on while the machine sleeps where the system has one."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1_000_000


def host_of(folder: Path) -> bytes:
    """The id of the machine and folder; processes that share a folder share it, a copy has another."""
    made = _made(folder)
    there = (folder / "host").stat()
    where = f"{platform.node()}\0{there.st_dev}\0{there.st_ino}"
    return sha256(made + where.encode()).digest()[:HOST_BYTES]


def _made(folder: Path) -> bytes:
    path = folder / "host"
    if not path.exists():
        part = folder / f"host.{secrets.token_hex(4)}"
        part.write_bytes(secrets.token_bytes(HOST_BYTES))
        with suppress(FileExistsError):
            os.link(part, path)  # of several processes one wins, and none reads half of it
        part.unlink()
    return path.read_bytes()


class Locks:
    """A `Census`: each process of the host owns a lock file in `folder`; others have to beat.

    How long ago one has beaten is told by this process' clock, from when it saw that: no two clocks are
    compared.
    """

    def __init__(self, folder: Path, host: bytes, pulse: Pulse) -> None:
        self._folder = folder
        self._host = host
        self.pulse = pulse
        self._asked_ms = 0
        self._seen: dict[bytes, tuple[int, int]] = {}  # the last beat, and when it was seen first

    def hold(self, worker: bytes) -> OwnerLock:
        """Live, as this worker, until the lock is released. Raises: `FolderOwned`, `StorageError`."""
        return OwnerLock(self._folder, _name(worker))

    def look(self, workers: Collection[Worker], asked_ms: int, told_ms: int) -> None:
        """See `Census.look`."""
        if asked_ms - self._asked_ms > self.pulse.dead_ms - self.pulse.silent_ms:
            self._seen.clear()  # who could not look itself for so long cannot tell
        self._asked_ms = asked_ms
        seen, self._seen = self._seen, {}
        for worker in workers:
            beat_ms, at_ms = seen.get(worker.id, (worker.beat_ms, told_ms))
            since_ms = at_ms if beat_ms == worker.beat_ms else told_ms
            self._seen[worker.id] = (worker.beat_ms, since_ms)

    def lives(self, worker: Worker) -> bool:
        """See `Census.lives`."""
        if worker.host == self._host:
            return is_owned(self._folder, _name(worker.id))
        if not worker.address:
            return False  # it cannot be reached: a server of before, alone at that time
        _, at_ms = self._seen.get(worker.id, (0, self._asked_ms))
        return self._asked_ms - at_ms < self.pulse.dead_ms


def _name(worker: bytes) -> str:
    return f"{worker.hex()}.lock"
