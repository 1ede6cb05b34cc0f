"""What the owner of an account's open database remembers of its log."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol

from echolia.core.positions import LogPosition
from echolia.storage.engine import Batches, Result, Statement
from echolia.sync import history, store
from echolia.sync.history import LogBase
from echolia.sync.store import LogState

_REMEMBERED_POSITIONS: Final = 64


class OpenAccount(Batches, Protocol):
    """An account's database while it is leased; `memory` lives as long as it stays open."""

    memory: dict[str, object]

    async def grow(self, statements: Sequence[Statement]) -> list[Result]:
        """One atomic unit of work that stores more; raises `storage_full` where a full disk lives on its
        reserve.
        """
        ...

    async def reclaim(self) -> None:
        """Give up the room of deleted rows."""
        ...


class Accounts(Protocol):
    """Where accounts' databases are leased from."""

    def lease(self, account: bytes) -> AbstractAsyncContextManager[OpenAccount]:
        """The account's open database; raises `storage_missing`."""
        ...


@dataclass(slots=True)
class OpenLog:
    """A log's state. `base` is never behind the one on disk: what lies before it is not promised any more.

    `stored_ms` says of the checkpoints by their position when they were kept (server time).
    """

    state: LogState
    base: LogBase
    stored_ms: dict[int, int]
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    # Held while the base moves, and while a revocation is written that depends on where it is.
    moving_base: asyncio.Lock = field(default_factory=asyncio.Lock)
    positions: OrderedDict[int, bytes] = field(default_factory=OrderedDict)

    def remember(self, state: LogState) -> None:
        """The log moved on; its newest positions are what writers name as seen."""
        self.state = state
        self.positions[state.position.seq] = state.position.log
        if len(self.positions) > _REMEMBERED_POSITIONS:
            self.positions.popitem(last=False)

    def rebase(self, base: LogBase) -> None:
        """The base moves; what it stands for is the newest that is promised."""
        self.base = base._replace(dropped_bytes=self.base.dropped_bytes)
        self.stored_ms = {seq: ms for seq, ms in self.stored_ms.items() if seq > base.position.seq}

    async def look_again(self, db: Batches) -> None:
        """Take base and checkpoints from the disk, after a change of them that may have failed."""
        async with self.moving_base:
            _, self.base = await history.load(db)
            self.stored_ms = await history.stored_ms(db)

    def kept_before(self, ms: int) -> bool:
        """Whether there is a checkpoint after the base that was kept at that time or before."""
        return any(kept_ms <= ms for kept_ms in self.stored_ms.values())

    @property
    def stored_bytes(self) -> int:
        """Of all frames that are there."""
        return self.state.total_bytes - self.base.dropped_bytes

    async def has(self, db: Batches, position: LogPosition) -> bool:
        """Whether the log has a position with that hash; what it cannot judge is taken to be so.

        That is another epoch's position, and one before the base.
        """
        state = self.state
        if position.epoch != state.position.epoch or position.seq < self.base.position.seq:
            return True
        if position.seq > state.position.seq:
            return False
        for known in (state.position, self.base.position):
            if position.seq == known.seq:
                return position.log == known.log
        found = self.positions.get(position.seq) or await store.log_at(db, position.seq)
        return found == position.log


Hears = Callable[[bytes, OpenLog], None]


def nobody_hears(_account: bytes, _log: OpenLog) -> None:
    """Whom to tell where nobody wants to know."""


async def open_log(db: OpenAccount) -> OpenLog:
    """The log of a leased database."""
    log = db.memory.get("log")
    if not isinstance(log, OpenLog):
        state, base = await history.load(db)
        stored_ms = await history.stored_ms(db)
        # Whoever came first while this one waited has set it: there must be one lock for all writers.
        log = db.memory.setdefault("log", OpenLog(state, base, stored_ms))
        assert isinstance(log, OpenLog)
    return log
