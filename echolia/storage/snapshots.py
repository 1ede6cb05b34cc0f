"""Snapshots of accounts' databases: `folder/ab/<account>/<UTC time>.sealed`, under the account's data key.

    x.plain (as it is at one moment) ──sealed──▶ x.new ──rename──▶ x.sealed, and no x.plain any more

`x.plain` and `x.new` are nobody's: `sweep` removes what a crash left of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from echolia.storage import sealed_files
from echolia.storage.data_keys import KEY_BYTES, data_key, forget_data_key, made_data_key
from echolia.storage.engine import Database, FileDriver, StorageError
from echolia.storage.sqlite.user_files import make_folder, sync_folder, user_path

SEALED: Final = ".sealed"
Dice = Callable[[int], bytes]


class Snapshot(NamedTuple):
    """A snapshot: its name, which is when it was made (UTC), and its size."""

    name: str
    bytes: int


class Snapshots:
    """The snapshots in `folder`; their keys are in the `directory`; `driver` runs what blocks.

    `clock_ms` is the server's time, `dice` gives secret random bytes.
    """

    def __init__(
        self, folder: Path, directory: Database, driver: FileDriver, clock_ms: Callable[[], int], dice: Dice
    ) -> None:
        self._folder = folder
        self._directory = directory
        self._driver = driver
        self._clock_ms = clock_ms
        self._dice = dice

    async def take(self, account: bytes, db: Database) -> Snapshot:
        """Keep a database as it is now; within `UserDatabases.work`.

        Raises: `StorageFull`, `StorageError`.
        """
        key = await made_data_key(self._directory, account, self._dice(KEY_BYTES))
        sealed = await self._driver.run(lambda: self._new_name(account))
        plain, part = sealed.with_suffix(".plain"), sealed.with_suffix(".new")
        try:
            await db.snapshot(plain)
            await self._driver.run(lambda: sealed_files.seal(plain, part, key, account))
            await self._driver.run(lambda: _publish(part, sealed))
        finally:
            await self._driver.run(lambda: _remove(plain, part))
        return await self._driver.run(lambda: _told(sealed))

    async def listed(self, account: bytes) -> list[Snapshot]:
        """The account's snapshots, oldest first."""
        folder = self.folder_of(account)
        return await self._driver.run(lambda: [_told(path) for path in sorted(folder.glob(f"*{SEALED}"))])

    async def has_key(self, account: bytes) -> bool:
        """Whether the account has a data key: it gets it with its first snapshot."""
        return await data_key(self._directory, account) is not None

    async def opened(self, account: bytes, which: str | Path, plain: Path) -> None:
        """Write a snapshot, by its name or as a file from elsewhere, as the new SQLite file `plain`.

        Raises: `snapshot_invalid` (also: another account's, or its key is gone), `StorageError`.
        """
        path = self.named(account, which) if isinstance(which, str) else which
        key = await data_key(self._directory, account)
        if key is None:
            raise StorageError("the account has no data key", code="snapshot_invalid")
        known = key
        await self._driver.run(lambda: sealed_files.unseal(path, plain, known, account))

    def named(self, account: bytes, name: str) -> Path:
        """Where the snapshot of this name is. Raises: `snapshot_invalid` where it is no name of one."""
        if "/" in name or not name.endswith(SEALED):
            raise StorageError("no such name", code="snapshot_invalid")
        return self.folder_of(account) / name

    def folder_of(self, account: bytes) -> Path:
        """Where the account's snapshots lie."""
        return user_path(self._folder, account).with_suffix("")

    async def workplace(self, account: bytes, name: str) -> Path:
        """A path for a plain file of the account, of which a former one is gone; `sweep` removes it too."""
        path = self.folder_of(account) / f"{name}.plain"

        def prepare() -> Path:
            make_folder(path.parent)
            _remove(path)
            return path

        return await self._driver.run(prepare)

    async def remove(self, *paths: Path) -> None:
        """Remove plain files of `workplace`."""
        await self._driver.run(lambda: _remove(*paths))

    async def forget(self, account: bytes) -> None:
        """Remove the account's snapshots, and the key without which copies of them are unreadable."""
        await self._driver.run(lambda: _remove_folder(self.folder_of(account)))
        await forget_data_key(self._directory, account)

    async def accounts(self) -> list[bytes]:
        """Whose snapshots there are."""
        return await self._driver.run(lambda: sorted(map(_account, self._folder.glob("??/" + "?" * 32))))

    async def sweep(self) -> int:
        """Remove what a crash left of snapshots; before the first is taken. Returns how many files."""
        return await self._driver.run(lambda: _sweep(self._folder))

    def _new_name(self, account: bytes) -> Path:
        folder = self.folder_of(account)
        make_folder(folder)
        at_ms = self._clock_ms()
        while (path := folder / _name(at_ms)).exists():
            at_ms += 1
        _remove(path.with_suffix(".plain"), path.with_suffix(".new"))
        return path


def _name(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H%M%S}.{at_ms % 1000:03d}Z{SEALED}"


def _told(path: Path) -> Snapshot:
    return Snapshot(path.name, path.stat().st_size)


def _account(folder: Path) -> bytes:
    try:
        return bytes.fromhex(folder.name)
    except ValueError:
        return b""


def _publish(part: Path, sealed: Path) -> None:
    part.rename(sealed)
    sync_folder(sealed.parent)


def _remove(*paths: Path) -> None:
    for path in paths:
        for beside in ("", "-wal", "-shm", "-journal"):
            path.with_name(path.name + beside).unlink(missing_ok=True)


def _remove_folder(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)
        sync_folder(folder.parent)


def _sweep(folder: Path) -> int:
    left = [path for kind in ("plain*", "new") for path in folder.glob(f"??/*/*.{kind}")]
    for path in left:
        path.unlink(missing_ok=True)
    for parent in {path.parent for path in left}:
        with suppress(OSError):  # not empty
            parent.rmdir()
        sync_folder(parent if parent.is_dir() else parent.parent)
    return len(left)
