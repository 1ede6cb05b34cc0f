"""The files of the accounts' databases: their names, their coming into being and their end, crash by crash.

    absent ──create──▶ x.new ──rename──▶ x.db ──rename──▶ x.gone ──unlink──▶ absent

A name changes in one step and the folder is synced after it, so a crash leaves one of these states; `x.new`
and `x.gone` are nobody's; `clear_remains` and `sweep` remove them. All of it blocks: call it in a thread.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from echolia.storage.engine import DatabaseExists, StorageError

ACCOUNT_BYTES: Final = 16
_LOGS: Final = ("-wal", "-shm", "-journal")


def user_path(folder: Path, account: bytes) -> Path:
    """Where an account's database lies: `folder/ab/abcdef….db`, by its id in hex.

    Raises: StorageError where the id is not 16 bytes.
    """
    if len(account) != ACCOUNT_BYTES:
        raise StorageError("account id of another length")
    name = account.hex()
    return folder / name[:2] / f"{name}.db"


def new_path(path: Path) -> Path:
    """Where the database is written before it takes its name."""
    return path.with_suffix(".new")


def prepare(path: Path) -> Path:
    """Make room for a new database at `path` and return where to write it first.

    Raises: `DatabaseExists`, OSError.
    """
    if path.exists():
        raise DatabaseExists
    make_room(path)
    return new_path(path)


def make_room(path: Path) -> None:
    """Make the folder for `path`, with nothing of a former database in it. Raises: OSError."""
    make_folder(path.parent)
    path.unlink(missing_ok=True)
    clear_remains(path)


def has_log(path: Path) -> bool:
    """Whether part of a closed database lies in a log beside it."""
    return any(path.with_name(path.name + log).exists() for log in _LOGS)


def publish(path: Path) -> None:
    """Give the finished new database its name, for good once this returns. Raises: OSError."""
    new_path(path).rename(path)
    sync_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a closed database and all that is left of former ones, if there is any. Raises: OSError."""
    try:
        # First the name, in one step: a database without its log would be an older state of itself.
        path.rename(path.with_suffix(".gone"))
    except FileNotFoundError:
        if not path.parent.exists():
            return
    clear_remains(path)
    sync_folder(path.parent)


def clear_remains(path: Path) -> None:
    """Remove what interrupted creations and deletions left.

    Not for tidiness: the log of a former database would be replayed into a new one. Only while there is no
    database at `path`. Raises: OSError.
    """
    for base in (path, new_path(path), path.with_suffix(".gone")):
        for log in _LOGS:
            base.with_name(base.name + log).unlink(missing_ok=True)
        if base != path:
            base.unlink(missing_ok=True)


def sweep(folder: Path) -> int:
    """Finish what a crash interrupted, in all accounts; returns how many files were left over.

    Only while nothing is created or deleted. Raises: OSError.
    """
    for file in folder.glob("template-*"):
        file.unlink(missing_ok=True)
    left = [file for suffix in ("new", "gone") for file in folder.glob(f"??/*.{suffix}")]
    for file in left:
        path = file.with_suffix(".db")
        if path.exists():
            file.unlink(missing_ok=True)
        else:
            remove(path)
    return len(left)


def accounts(folder: Path) -> list[bytes]:
    """The ids of all accounts whose databases are here, in their order. Raises: OSError."""
    names = [file.stem for file in folder.glob("??/*.db")]
    return sorted(bytes.fromhex(name) for name in names if re.fullmatch("[0-9a-f]{32}", name))


def sync_file(path: Path) -> None:
    """Make a finished file and its name survive a crash of the machine. Raises: OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's entries survive a crash of the machine. Raises: OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a private folder and those above it, for good. Raises: OSError."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)
