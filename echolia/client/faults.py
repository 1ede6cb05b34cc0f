"""What a database or file failure means for a home, as an error with a code and no content."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def home_faults() -> Iterator[None]:
    """Turn what SQLite and the file system raise inside into `disk_full`, `home_locked` or `home_damaged`."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except UnicodeDecodeError:
        # A damaged schema: SQLite quotes it in its message, and `sqlite3` cannot read that.
        raise EcholiaError("home_damaged") from None
    except sqlite3.Error as error:
        # Without a cause: SQLite's messages may quote what was bound.
        raise EcholiaError(_code(getattr(error, "sqlite_errorcode", 0))) from None
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise EcholiaError("disk_full") from None
        raise


def _code(sqlite_code: int) -> str:
    if sqlite_code in _FULL:
        return "disk_full"
    return (
        "home_locked"
        if sqlite_code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
        else "home_damaged"
    )
