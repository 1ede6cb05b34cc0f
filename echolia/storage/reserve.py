"""Room for a full disk: a file that takes it up, and is removed when the disk has none left.

Without it a full disk refuses what would relieve it: SQLite writes before it removes, so that nobody could
delete an account, revoke a device, acknowledge, or even sign in. Small work may therefore have the file's
room (`spared`); what stores more is refused until the file is back (`refuse_growth`).
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from echolia.storage.engine import Database, PlaceFull, Result, Statement, StorageFull
from echolia.storage.sqlite.faults import storage_error
from echolia.storage.sqlite.user_files import sync_folder

T = TypeVar("T")
_PART_BYTES: Final = 1 << 20


def free_disk_bytes(folder: Path) -> int:
    """What the server may still write on the folder's disk."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


class Reserve:
    """The file `folder/reserve` of `size_bytes`; with 0 there is no reserve and no growth is refused.

    `released` says that the file is gone because the disk was full.
    """

    def __init__(self, folder: Path, size_bytes: int = 0) -> None:
        self._folder = folder
        self._path = folder / "reserve"
        self._size_bytes = size_bytes
        self.released = False

    def hold(self) -> None:
        """Take the room up again, where twice as much is free; blocks. Raises: StorageError."""
        try:
            self.released = not self._held()
        except OSError as error:
            failure = storage_error(error)
            if not isinstance(failure, StorageFull):
                raise failure from None
            self.release()

    def release(self) -> None:
        """Give the room up; blocks. Raises: OSError."""
        self.released = True
        self._path.unlink(missing_ok=True)
        # Some file systems hand room out again only after they have written down that it was given up.
        with suppress(OSError):
            sync_folder(self._folder)

    def refuse_growth(self) -> None:
        """Raise `StorageFull` while the reserve's room is what the disk lives on."""
        if self.released:
            raise StorageFull("the reserve is in use")

    async def spared(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do small work that must not fail on a full disk; it is done again once the reserve is released.

        Only for work that leaves nothing behind when it fails. Raises: what the work raises.
        """
        try:
            return await work()
        except PlaceFull:
            raise
        except StorageFull:
            if not self._size_bytes:
                raise
        await asyncio.to_thread(self.release)
        return await work()

    def _held(self) -> bool:
        if self._path.exists() and self._path.stat().st_size == self._size_bytes:
            return True
        # Of another size: by another setting, or of a start that did not come to its end.
        self._path.unlink(missing_ok=True)
        if self._size_bytes:
            if free_disk_bytes(self._folder) < 2 * self._size_bytes:
                return False
            self._write()
        return True

    def _write(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            # Random, because a file system that compresses would keep no room for zeros.
            file.writelines(map(secrets.token_bytes, _parts(self._size_bytes)))
            file.flush()
            os.fsync(descriptor)


class SparedDatabase:
    """A database whose units of work are small and must not fail on a full disk."""

    def __init__(self, db: Database, reserve: Reserve) -> None:
        self._db = db
        self._reserve = reserve

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """One unit of work, if need be with the reserve's room; see `engine.Database.batch`."""
        return await self._reserve.spared(lambda: self._db.batch(statements, tx))

    async def snapshot(self, path: Path) -> None:
        """See `engine.Database.snapshot`."""
        await self._db.snapshot(path)

    async def reclaim(self) -> None:
        """See `engine.Database.reclaim`."""
        await self._reserve.spared(self._db.reclaim)

    async def close(self) -> None:
        """Close the database."""
        await self._db.close()


def _parts(size_bytes: int) -> Iterator[int]:
    """The lengths of the parts that a file of this size is written in."""
    for at in range(0, size_bytes, _PART_BYTES):
        yield min(_PART_BYTES, size_bytes - at)
