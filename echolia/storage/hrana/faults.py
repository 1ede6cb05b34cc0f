"""What a Hrana server reports, said as the storage's own errors and stripped of all content.

Its messages quote what was sent (a statement that does not parse, a broken constraint's columns), so only the
code of an error is kept, and only where it has the form of one.
"""

from __future__ import annotations

import re
from typing import Final

from echolia.storage.engine import (
    ConstraintViolated,
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseMissing,
    OutcomeUnknown,
    PlaceFull,
    StorageError,
)

_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{1,63}")
# SQLite's own name of a plain error, such as a table that is not there.
_PLAIN: Final = frozenset({"SQLITE_UNKNOWN", "SQL_INPUT_ERROR"})
# By the first two words of a code, so that extended codes fall to their primary one.
_KINDS: Final[dict[str, type[StorageError]]] = {
    "SQLITE_CONSTRAINT": ConstraintViolated,
    "SQLITE_MISMATCH": ConstraintViolated,
    "SQLITE_BUSY": DatabaseBusy,
    "SQLITE_LOCKED": DatabaseBusy,
    # The transaction held its lock for more than five seconds and another took it: nothing of it applied.
    "TRANSACTION_TIMEOUT": DatabaseBusy,
    "TRANSACTION_BUSY": DatabaseBusy,
    "SQLITE_FULL": PlaceFull,
    "SQLITE_IOERR": PlaceFull,
    "SQLITE_CORRUPT": DatabaseDamaged,
    "SQLITE_NOTADB": DatabaseDamaged,
}
_STATUSES: Final[dict[int, type[StorageError]]] = {404: DatabaseMissing, 429: DatabaseBusy}


def statement_error(code: object) -> StorageError:
    """The storage's error for the code of a statement that failed."""
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        return StorageError("UNNAMED")
    if code in _PLAIN:
        return StorageError("SQLITE_ERROR")
    if code == "BLOCKED":
        return StorageError(code="database_blocked")
    return _KINDS.get("_".join(code.split("_")[:2]), StorageError)(code)


def status_error(status: int) -> StorageError:
    """The storage's error for an answer that is not 200.

    Below 500 it was refused before a statement ran; from there on nobody knows: sqld answers 500 where a row
    that was read cannot be said in JSON, a proxy where it lost the server.
    """
    kind = _STATUSES.get(status, StorageError) if status < 500 else OutcomeUnknown
    return kind(f"HTTP_{status}")
