"""Notices by a table of the directory, for processes that share it: polled, and soon removed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from echolia.storage.engine import Database, Statement, StorageError
from echolia.web.notices.carrier import Away, carried
from echolia.web.notices.port import MISSED, Ended, HeadMoved, Hear, Missed, Notice, Tell

POLL_S: Final = 0.25
KEPT_MS: Final = 60_000
PAGE: Final = 1_000

_NEWEST: Final = Statement("SELECT coalesce(max(id), 0) FROM live_notices")
_AFTER: Final = (
    "SELECT id, sender, account, device, epoch, seq FROM live_notices WHERE id > ? ORDER BY id LIMIT ?"
)
_INSERT: Final = (
    "INSERT INTO live_notices (sender, account, device, epoch, seq, told_ms) VALUES (?, ?, ?, ?, ?, ?)"
)
# The newest stays, so that the ids go on from it and a gap is noticed; but it says nothing any more.
_REMOVE: Final = "DELETE FROM live_notices WHERE told_ms < ? AND id < (SELECT max(id) FROM live_notices)"
_EMPTY: Final = (
    "UPDATE live_notices SET account = NULL, device = NULL, epoch = NULL, seq = NULL"
    " WHERE told_ms < ? AND account IS NOT NULL"
)


class DatabaseNotices:
    """Between processes whose connections `db` lead to one directory; `clock_ms` is the machine's time.

    Ids go up one by one, so that one which is not there was removed unread, by a process that slept too long,
    or is still being written.
    """

    def __init__(self, db: Database, clock_ms: Callable[[], int], poll_s: float = POLL_S) -> None:
        self._db = db
        self._clock_ms = clock_ms
        self._poll_s = poll_s
        self._self = secrets.token_bytes(8)

    def joined(self, hear: Hear) -> AbstractAsyncContextManager[Tell]:
        """See `Notices.joined`; the others hear at their next poll."""
        return carried(self, hear)

    async def deliver(self, notices: Sequence[Notice]) -> None:
        """See `Medium.deliver`: one unit of work, which afterwards removes what is old."""
        now_ms = self._clock_ms()
        rows = [Statement(_INSERT, (self._self, *_columns(notice), now_ms)) for notice in notices]
        await self._batch([*rows, *_prune(now_ms)], tx=True)

    async def listen(self, hear: Hear) -> None:
        """See `Medium.listen`."""
        [newest] = await self._batch([_NEWEST])
        last, pruned_ms = newest[0][0], self._clock_ms()
        hear(MISSED)
        while True:
            await asyncio.sleep(self._poll_s)
            last = await self._read(last, hear)
            if self._clock_ms() - pruned_ms > KEPT_MS:
                pruned_ms = self._clock_ms()
                await self._batch(_prune(pruned_ms), tx=True)

    async def _read(self, last: int, hear: Hear) -> int:
        """Hear what was told after the notice `last`; gives the last one's id."""
        while True:
            [rows] = await self._batch([Statement(_AFTER, (last, PAGE))])
            for number, sender, *columns in rows:
                if number > last + 1:
                    hear(MISSED)
                last = number
                if sender != self._self:
                    hear(_notice(*columns))
            if len(rows) < PAGE:
                return last

    async def _batch(self, statements: Sequence[Statement], tx: bool = False) -> list[list[Any]]:
        """The rows of each statement."""
        try:
            return [result.rows for result in await self._db.batch(statements, tx=tx)]
        except StorageError as error:
            raise Away from error

    async def close(self) -> None:
        """See `Medium.close`: the directory is not ours."""


def _prune(now_ms: int) -> list[Statement]:
    return [Statement(sql, (now_ms - KEPT_MS,)) for sql in (_REMOVE, _EMPTY)]


def _columns(notice: Notice) -> tuple[bytes | None, bytes | None, int | None, int | None]:
    match notice:
        case HeadMoved(account, epoch, seq):
            return account, None, epoch, seq
        case Ended(account, device):
            return account, device, None, None
        case Missed():
            return None, None, None, None


def _notice(account: bytes | None, device: bytes | None, epoch: int | None, seq: int | None) -> Notice:
    if account is None:
        return MISSED
    if epoch is None or seq is None:
        return Ended(account, device)
    return HeadMoved(account, epoch, seq)
