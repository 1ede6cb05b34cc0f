"""The folder a device lives in: private to its user, and open in one process at a time."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from echolia.client.faults import home_faults


@dataclass(frozen=True, slots=True)
class Home:
    """The paths inside a home."""

    folder: Path

    @property
    def database(self) -> Path:
        """Everything but the secrets."""
        return self.folder / "echolia.db"

    @property
    def vault(self) -> Path:
        """The secrets."""
        return self.folder / "vault"

    @property
    def archives(self) -> Path:
        """Exports of former accounts that were taken in here (`spec/export.md#taking-it-in`)."""
        return self.folder / "archives"

    def prepare(self) -> None:
        """Make the folder, for its user alone; one that holds other things already keeps its permissions."""
        with home_faults():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not any(self.folder.iterdir()):
                self.folder.chmod(0o700)

    def clear_unfinished(self) -> None:
        """Remove a database that was begun before there was a vault: nothing of anybody's is in it."""
        for suffix in ("", "-wal", "-shm"):
            self.database.with_name(self.database.name + suffix).unlink(missing_ok=True)


class HomeLock:
    """The operating system's lock on a home: it ends with the process that holds it, however that ends."""

    def __init__(self, home: Home) -> None:
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        with home_faults():
            self._handle = os.open(home.folder / "lock", flags, 0o600)

    def take(self) -> bool:
        """Lock, unless another holds it."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Unlock."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
