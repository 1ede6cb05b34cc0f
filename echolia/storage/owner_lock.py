"""One owner process for a data folder: the kernel's file lock says so, and frees it when the process dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from echolia.storage.engine import FolderOwned
from echolia.storage.sqlite.faults import storage_error


class OwnerLock:
    """Owns a data folder from construction until `release`, or until the process ends in whatever way.

    Raises: `FolderOwned` while another process, or another lock of this one, owns it; `StorageError` where
    the file system has no locks.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The file stays: unlinking it would let two processes lock two files of the same name.
        self._file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            if isinstance(error, BlockingIOError):
                raise FolderOwned from error
            raise storage_error(error) from error

    def release(self) -> None:
        """Give the folder up; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
