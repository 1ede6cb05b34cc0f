"""What PostgreSQL and its driver report, said as the storage's own errors and stripped of all content."""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg_pool import PoolTimeout, TooManyRequests

from echolia.storage.engine import (
    ConstraintViolated,
    DatabaseBusy,
    DatabaseDamaged,
    StorageError,
    StorageFull,
)

# A batch that met another one, and would have meant something else than one after the other.
AGAIN: Final = frozenset({"40001", "40P01"})

_BY_STATE: Final[dict[str, type[StorageError]]] = {
    "22P02": ConstraintViolated,  # a text where the column is a number
    "42804": ConstraintViolated,  # a value of another type than the column's
    "40001": DatabaseBusy,
    "40P01": DatabaseBusy,
    "53100": StorageFull,
    "53300": DatabaseBusy,  # too many connections
    "55P03": DatabaseBusy,  # a lock was not to be had in time
    "57014": DatabaseBusy,  # the statement took too long, and was stopped
    "57P03": DatabaseBusy,  # still starting
    "XX001": DatabaseDamaged,
    "XX002": DatabaseDamaged,
}
_BY_CLASS: Final[dict[str, type[StorageError]]] = {"23": ConstraintViolated}


def storage_error(error: Exception) -> StorageError:
    """The storage's error for one of PostgreSQL's or its driver's.

    Messages quote rows, statements and addresses, so only the name of the state or type is kept. Raise it
    outside the `except` block: a chained exception would carry the message along.
    """
    if isinstance(error, StorageError):
        return error
    name = type(error).__name__
    if isinstance(error, PoolTimeout | TooManyRequests | TimeoutError):
        return DatabaseBusy(name)
    state = (error.sqlstate if isinstance(error, psycopg.Error) else None) or ""
    return (_BY_STATE.get(state) or _BY_CLASS.get(state[:2]) or StorageError)(name)


def outcome_unknown() -> StorageError:
    """The connection broke after something to write was sent: it is stored, or it is not."""
    return StorageError("the outcome of the commit is unknown", code="unavailable")
