"""Gives the room that deleted rows took back to the file system, a little at a time."""

from __future__ import annotations

from typing import Any, Final

from echolia.storage.engine import Batches, Statement

# Pages of 4 KiB: a step moves no more than this many, and whoever waits for the database comes in between.
STEP_PAGES: Final = 256
# Python's sqlite3 steps a statement without columns once, which is one page however many are asked for.
_A_PAGE: Final = Statement("PRAGMA incremental_vacuum(1)")


async def reclaim(db: Batches) -> None:
    """Shorten the database's file by the pages that nothing uses, and empty its write-ahead log.

    A file that was made before files could shrink keeps its pages and uses them again.
    Raises: `StorageError`.
    """
    shrinks = await _number(db, "PRAGMA auto_vacuum")
    while shrinks and (free := await _number(db, "PRAGMA freelist_count")):
        await db.batch([_A_PAGE] * min(free, STEP_PAGES))
    await db.batch([Statement("PRAGMA wal_checkpoint(TRUNCATE)")], tx=False)


async def _number(db: Batches, pragma: str) -> int:
    ((value,),) = (await db.batch([Statement(pragma)], tx=False))[0].rows
    found: Any = value
    return int(found)
