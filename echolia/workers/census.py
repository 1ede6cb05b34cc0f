"""Whether a process still runs: those of this host hold a lock as long as they do, others tell by beats."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from echolia.storage.owner_lock import OwnerLock, is_owned
from echolia.workers.placement import DEAD_MS
from echolia.workers.store import Worker

HOST_BYTES: Final = 16


def host_of(folder: Path) -> bytes:
    """The id of the host that this folder is on, made once; processes that share one share the other."""
    path = folder / "host"
    if not path.exists():
        part = folder / f"host.{secrets.token_hex(4)}"
        part.write_bytes(secrets.token_bytes(HOST_BYTES))
        with suppress(FileExistsError):
            os.link(part, path)  # of several processes one wins, and none reads half of it
        part.unlink()
    return path.read_bytes()


class Locks:
    """A `Census`: each process of the host owns a lock file in `folder`."""

    def __init__(self, folder: Path, host: bytes, clock_ms: Callable[[], int]) -> None:
        self._folder = folder
        self._host = host
        self._clock_ms = clock_ms

    def hold(self, worker: bytes) -> OwnerLock:
        """Live, as this worker, until the lock is released. Raises: `FolderOwned`, `StorageError`."""
        return OwnerLock(self._folder, _name(worker))

    def lives(self, worker: Worker) -> bool:
        """See `Census.lives`."""
        if worker.host == self._host:
            return is_owned(self._folder, _name(worker.id))
        return self._clock_ms() - worker.beat_ms < DEAD_MS


def _name(worker: bytes) -> str:
    return f"{worker.hex()}.lock"
