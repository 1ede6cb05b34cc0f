"""A database that only its present owner writes to: each unit of work asserts the owner's number.

Where accounts belong to one of several processes, each gets a number with an account that is greater than
those before it, and writes it into the database when it opens that. A process that no longer owns the account
and has not noticed (it was suspended, its network was away) changes nothing any more.

Nor does it read by a transaction. Its connection would see what is there now, but what it remembers of the
log is old: a page cut at an old head would look to a device as if the server took history back. This costs a
read some 30 µs (`docs/decisions/0019-workers.md`); what is only counted is read without (`tx=False`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from echolia.storage.engine import Batches, ConstraintViolated, Database, DatabaseElsewhere, Result, Statement

FENCED_SINCE: Final = 3
_TAKE: Final = "UPDATE account SET fence = ?1 WHERE fence < ?1"
_HAS_FENCE: Final = Statement("SELECT 1 FROM pragma_table_info('account') WHERE name = 'fence'")
_FENCE: Final = Statement("SELECT fence FROM account WHERE one = 1")
# Breaks CHECK (one = 1) unless the number is the owner's.
_ASSERT: Final = (
    "INSERT INTO account (one, account, epoch) SELECT 2, x'', 0"
    " WHERE NOT EXISTS (SELECT 1 FROM account WHERE one = 1 AND fence = ?)"
)


# Breaks it where a later owner has put its number in; a copy that is being made has no number at all.
_ASSERT_NO_LATER: Final = (
    "INSERT INTO account (one, account, epoch) SELECT 2, x'', 0"
    " WHERE EXISTS (SELECT 1 FROM account WHERE one = 1 AND fence > ?)"
)


async def fence_of(db: Batches) -> int | None:
    """The number by which the database was last taken over; None where it has no place for one yet.

    Raises: `StorageError`.
    """
    (known,) = await db.batch([_HAS_FENCE], tx=False)
    if not known.rows:
        return None  # it waits for the migration that makes it
    (held,) = await db.batch([_FENCE], tx=False)
    rows: list[Any] = held.rows
    return int(rows[0][0])


async def fenced(db: Database, fence: int) -> FencedDatabase:
    """Take the database over by this number. Raises: `DatabaseElsewhere` where a later owner has it.

    It has to be of the version `FENCED_SINCE`, at least.
    """
    if (await fence_of(db) or 0) < fence:
        await db.batch([Statement(_TAKE, (fence,))])
    if await fence_of(db) != fence:
        raise DatabaseElsewhere
    return FencedDatabase(db, Statement(_ASSERT, (fence,)))


def fenced_copy(db: Database, fence: int) -> FencedDatabase:
    """A copy that an owner of this number is making: it changes nothing there once a later one has finished.

    It has to be of the version `FENCED_SINCE`, at least.
    """
    return FencedDatabase(db, Statement(_ASSERT_NO_LATER, (fence,)))


class FencedDatabase:
    """A database whose units of work apply only while `assertion`, which breaks a constraint, does not."""

    def __init__(self, db: Database, assertion: Statement) -> None:
        self._db = db
        self._assertion = assertion

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """See `engine.Database.batch`; raises `DatabaseElsewhere` where a later owner has it."""
        if not tx:
            return await self._db.batch(statements, tx=False)
        try:
            _, *results = await self._db.batch([self._assertion, *statements])
            return results
        except ConstraintViolated:
            await self._assert()
            raise

    async def _assert(self) -> None:
        """Raises: `DatabaseElsewhere` where it was the assertion that broke."""
        try:
            await self._db.batch([self._assertion])
        except ConstraintViolated:
            raise DatabaseElsewhere from None

    async def snapshot(self, path: Path) -> None:
        """See `engine.Database.snapshot`."""
        await self._db.snapshot(path)

    async def reclaim(self) -> None:
        """See `engine.Database.reclaim`."""
        await self._db.reclaim()

    async def close(self) -> None:
        """See `engine.Database.close`."""
        await self._db.close()
