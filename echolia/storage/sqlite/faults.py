"""What SQLite and the file system report, said as the storage's own errors and stripped of all content."""

from __future__ import annotations

import errno
import sqlite3
from typing import Final

from echolia.storage.engine import (
    ConstraintViolated,
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseExists,
    DatabaseMissing,
    StorageError,
    StorageFull,
)

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

# Extended result codes whose meaning differs from that of their primary code (the lowest byte).
_EXTENDED: Final[dict[int, type[StorageError]]] = {
    sqlite3.SQLITE_IOERR_READ: DatabaseDamaged,
    sqlite3.SQLITE_IOERR_SHORT_READ: DatabaseDamaged,
    sqlite3.SQLITE_IOERR_NOMEM: StorageError,
    sqlite3.SQLITE_READONLY_DBMOVED: DatabaseMissing,
}
_PRIMARY: Final[dict[int, type[StorageError]]] = {
    sqlite3.SQLITE_CONSTRAINT: ConstraintViolated,
    sqlite3.SQLITE_MISMATCH: ConstraintViolated,
    sqlite3.SQLITE_BUSY: DatabaseBusy,
    sqlite3.SQLITE_LOCKED: DatabaseBusy,
    sqlite3.SQLITE_FULL: StorageFull,
    sqlite3.SQLITE_IOERR: StorageFull,  # a write the disk refused: out of room, over a limit, or dying
    sqlite3.SQLITE_CORRUPT: DatabaseDamaged,
    sqlite3.SQLITE_NOTADB: DatabaseDamaged,
}


def storage_error(error: Exception) -> StorageError:
    """The storage's error for one of SQLite's or the file system's.

    Messages of SQLite quote what was sent (a text that is not UTF-8, a full-text query), so only the name of
    the error constant or type is kept. Raise it outside the `except` block: a chained exception would carry
    the message along.
    """
    if isinstance(error, StorageError):
        return error
    if isinstance(error, OSError):
        return _of_file_system(error)
    code = getattr(error, "sqlite_errorcode", None)
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    if code is None:
        return StorageError(name)
    return (_EXTENDED.get(code) or _PRIMARY.get(code & 0xFF) or StorageError)(name)


def _of_file_system(error: OSError) -> StorageError:
    name = errno.errorcode.get(error.errno or 0, type(error).__name__)
    if error.errno in _NO_ROOM:
        return StorageFull(name)
    if isinstance(error, FileNotFoundError):
        return DatabaseMissing(name)
    if isinstance(error, FileExistsError):
        return DatabaseExists(name)
    return StorageError(name)
