"""Gives the room that deleted rows took back to the file system, a little at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from echolia.storage.engine import Result, Statement

# Pages of 4 KiB: a step moves no more than this many, and whoever waits for the database comes in between.
STEP_PAGES: Final = 256


class Batches(Protocol):
    """What this needs of an open database."""

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """One unit of work."""
        ...


async def reclaim(db: Batches) -> None:
    """Shorten the database's file by the pages that nothing uses, and empty its write-ahead log.

    A file of before there was this is written anew as a whole, once. Raises: `StorageError`.
    """
    while (free := await _number(db, "PRAGMA freelist_count")) > 0:
        if not await _number(db, "PRAGMA auto_vacuum"):
            await db.batch([Statement("PRAGMA auto_vacuum = INCREMENTAL"), Statement("VACUUM")], tx=False)
        else:
            await db.batch([Statement(f"PRAGMA incremental_vacuum({min(free, STEP_PAGES)})")], tx=False)
    await db.batch([Statement("PRAGMA wal_checkpoint(TRUNCATE)")], tx=False)


async def _number(db: Batches, pragma: str) -> int:
    ((value,),) = (await db.batch([Statement(pragma)], tx=False))[0].rows
    found: Any = value
    return int(found)
