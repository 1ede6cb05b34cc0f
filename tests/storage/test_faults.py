"""Each of SQLite's and the file system's failures becomes the storage error that says what to do."""

from __future__ import annotations

import errno
import sqlite3

import pytest

from echolia.core.errors import CODES
from echolia.storage.engine import DatabaseBusy, StorageError
from echolia.storage.sqlite.faults import storage_error


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("SQLITE_CONSTRAINT_UNIQUE", "storage_constraint"),
        ("SQLITE_CONSTRAINT_DATATYPE", "storage_constraint"),
        ("SQLITE_MISMATCH", "storage_constraint"),
        ("SQLITE_BUSY", "storage_busy"),
        ("SQLITE_BUSY_RECOVERY", "storage_busy"),
        ("SQLITE_LOCKED", "storage_busy"),
        ("SQLITE_FULL", "storage_full"),
        ("SQLITE_IOERR_WRITE", "storage_full"),
        ("SQLITE_IOERR_FSYNC", "storage_full"),
        ("SQLITE_IOERR_SHMSIZE", "storage_full"),
        ("SQLITE_IOERR_READ", "storage_damaged"),
        ("SQLITE_IOERR_NOMEM", "storage_failed"),
        ("SQLITE_CORRUPT", "storage_damaged"),
        ("SQLITE_NOTADB", "storage_damaged"),
        ("SQLITE_READONLY_DBMOVED", "storage_missing"),
        ("SQLITE_READONLY", "storage_failed"),
        ("SQLITE_INTERRUPT", "storage_failed"),
    ],
)
def test_sqlite(name: str, code: str) -> None:
    error = sqlite3.OperationalError("a message with content")
    # CONSTRAINT_DATATYPE is newer than some Python's table of constants
    error.sqlite_errorcode = getattr(sqlite3, name, sqlite3.SQLITE_CONSTRAINT | 12 << 8)
    error.sqlite_errorname = name
    said = storage_error(error)
    assert (said.code, said.detail) == (code, name)
    assert "content" not in str(said)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "storage_full"),
        (errno.EDQUOT, "storage_full"),
        (errno.ENOENT, "storage_missing"),
        (errno.EEXIST, "storage_exists"),
        (errno.EACCES, "storage_failed"),
    ],
)
def test_file_system(number: int, code: str) -> None:
    said = storage_error(OSError(number, "a message", "/a/path"))
    assert (said.code, said.detail) == (code, errno.errorcode[number])


def test_what_is_said_already_stays_and_the_rest_is_named_by_type() -> None:
    busy = DatabaseBusy("SQLITE_BUSY")
    assert storage_error(busy) is busy
    assert (storage_error(OverflowError("content")).code, storage_error(OverflowError()).detail) == (
        "storage_failed",
        "OverflowError",
    )


def test_every_kind_has_its_row_in_the_table() -> None:
    kinds: list[type[StorageError]] = [StorageError, *StorageError.__subclasses__()]
    kinds = [kind for kind in kinds if kind.__module__.startswith("echolia.")]  # tests have some of their own
    assert {kind.default_code for kind in kinds} <= CODES.keys()
    assert len({kind.default_code for kind in kinds}) == len(kinds)
