"""What a database or file failure means for a home, as an error with a code and no content."""

from __future__ import annotations

import errno
import sqlite3
from types import TracebackType
from typing import Final

from echolia.core.errors import EcholiaError

_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL: Final = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_TRUNCATE,
}


class home_faults:  # noqa: N801  # read as a statement: `with home_faults():`, some hundred times a sync
    """Turn what SQLite and the file system raise inside into `disk_full`, `home_locked` or `home_damaged`."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise the fault's own error, without a cause: SQLite's messages may quote what was bound."""
        code = None if error is None else _meaning(error)
        if code is not None:
            raise EcholiaError(code) from None


def _meaning(error: BaseException) -> str | None:
    match error:
        case sqlite3.ProgrammingError():
            return None
        case UnicodeDecodeError():
            # A damaged schema: SQLite quotes it in its message, and `sqlite3` cannot read that.
            return "home_damaged"
        case sqlite3.Error():
            return _code(getattr(error, "sqlite_errorcode", 0))
        case OSError() if error.errno in _NO_ROOM:
            return "disk_full"
    return None


def _code(sqlite_code: int) -> str:
    if sqlite_code in _FULL:
        return "disk_full"
    return (
        "home_locked"
        if sqlite_code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
        else "home_damaged"
    )
