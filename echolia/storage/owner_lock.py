"""Locks that a process holds as long as it lives: the kernel frees them when it ends, in whatever way."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from echolia.storage.engine import FolderOwned
from echolia.storage.sqlite.faults import storage_error


class OwnerLock:
    """Owns a data folder, or another `name` in it, from construction until `release` or the process' end.

    Raises: `FolderOwned` while another process, or another lock of this one, owns it; `StorageError` where
    the file system has no locks.
    """

    def __init__(self, folder: Path, name: str = "lock") -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The file stays: unlinking it would let two processes lock two files of the same name.
        self._file = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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


def is_owned(folder: Path, name: str) -> bool:
    """Whether a living process owns that name; a dead one's, which nobody takes again, is removed."""
    try:
        lock = os.open(folder / name, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        (folder / name).unlink(missing_ok=True)
        return False
    finally:
        os.close(lock)
