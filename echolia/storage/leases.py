"""Which databases are open: leased while in use, kept while recently used, closed when nobody needs them.

    absent ──lease──▶ opening ──▶ open: leased ⇄ idle ──evicted, dropped, refused──▶ closing ──▶ absent

Only the idle ones are in the LRU, so an eviction can never close what somebody uses. A database that is
closing is waited for before it is opened again: a file never has two connections.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Final

from cachetools import LRUCache

from echolia.storage.engine import (
    Database,
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseMissing,
    Result,
    Statement,
    StorageError,
)
from echolia.storage.reserve import Reserve

# Evictions that may wait to be closed before an opening waits for them: bounds the open files in a storm.
CLOSING_AT_ONCE: Final = 16
# How long whoever wants a lease waits while an account is paused, and a pause for the leases there are.
PAUSE_S: Final = 10.0
DRAIN_S: Final = 2.0
IN_USE: Final = "in use"


class OpenDatabase:
    """An account's open database; valid inside its lease.

    `memory` is for whoever uses the database: it lives exactly as long as the database stays open, so what is
    cached there does not outlive a deletion.
    """

    __slots__ = ("_reserve", "account", "db", "memory")

    def __init__(self, account: bytes, db: Database, reserve: Reserve) -> None:
        self.account = account
        self.db = db
        self.memory: dict[str, object] = {}
        self._reserve = reserve

    def batch(self, statements: Sequence[Statement], tx: bool = True) -> Coroutine[Any, Any, list[Result]]:
        """One unit of work, on a full disk with the reserve's room; see `engine.Database.batch`."""
        return self._reserve.spared(lambda: self.db.batch(statements, tx))

    def grow(self, statements: Sequence[Statement]) -> Coroutine[Any, Any, list[Result]]:
        """One unit of work that stores more; raises `StorageFull` rather than take the reserve's room."""
        self._reserve.refuse_growth()
        return self.db.batch(statements)

    async def reclaim(self) -> None:
        """Give up the room of deleted rows; see `engine.Database.reclaim`."""
        await self.db.reclaim()


class _Slot:
    """The place of one account's database from the first wish to open it until it is closed."""

    __slots__ = (
        "account", "closing", "ended", "failure", "leases", "open", "opening", "passing", "ready", "retired",
    )  # fmt: skip

    def __init__(self, account: bytes, passing: bool) -> None:
        self.account = account
        self.passing = passing  # only passers-by wanted it: it takes nobody's room and is not kept
        self.leases = 0
        self.open: OpenDatabase | None = None
        self.opening: asyncio.Task[OpenDatabase]
        self.ready = False  # open, and new leases may have it at once
        self.retired = False  # to be closed as soon as nobody leases it
        self.closing = False
        self.ended = asyncio.Event()  # closed, or never opened
        self.failure: BaseException | None = None  # of closing


class Lease:
    """`async with databases.lease(account) as database`: it stays open meanwhile.

    A `passing` one evicts no other, and leaves its database open only for those who lease it besides; else it
    ends when that is closed.
    """

    __slots__ = ("_account", "_databases", "_passing", "_slot")

    def __init__(self, databases: OpenDatabases, account: bytes, passing: bool = False) -> None:
        self._databases = databases
        self._account = account
        self._passing = passing
        self._slot: _Slot | None = None

    async def __aenter__(self) -> OpenDatabase:
        """Raises: `DatabaseMissing` where refused, `StorageError` once closed, what the opening raised."""
        self._slot = slot = await self._databases.take(self._account, self._passing)
        assert slot.open is not None
        if slot.open.account != self._account:
            await self.__aexit__(None, None, None)
            raise DatabaseDamaged("another account's database")
        return slot.open

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            self._databases.give_back(slot)
            if self._passing and slot.closing:
                await slot.ended.wait()


class OpenDatabases:
    """Opens each account's database with `opener` when it is leased and keeps at most `max_open` of them.

    Where more are leased at once than that, more are open. On a full disk they share the `reserve`.
    A lease of a paused one waits `pause_s` seconds.
    """

    def __init__(
        self,
        opener: Callable[[bytes], Awaitable[Database]],
        max_open: int,
        reserve: Reserve,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._opener = opener
        self._reserve = reserve
        self._max_open = max_open
        self._pause_s = pause_s
        self._slots: dict[bytes, _Slot] = {}
        self._idle: LRUCache[bytes, _Slot] = LRUCache(math.inf)
        self._closers: set[asyncio.Task[None]] = set()
        self._refused: set[bytes] = set()
        self._paused: dict[bytes, asyncio.Event] = {}
        self._closed = False
        self._passing = 0  # of the slots, those that are open for passers-by alone
        self.opened_total = 0
        self.evicted_total = 0

    @property
    def open_count(self) -> int:
        """How many are open, being opened or being closed."""
        return len(self._slots)

    @property
    def leased_count(self) -> int:
        """How many are leased."""
        return sum(1 for slot in self._slots.values() if slot.leases)

    def accounts(self) -> list[bytes]:
        """Whose databases are open, being opened or being closed."""
        return list(self._slots)

    async def take(self, account: bytes, passing: bool = False) -> _Slot:
        """Lease an account's database; for `Lease`, which gives it back."""
        slot = self._slots.get(account)
        if slot is None or not slot.ready:
            return await self._take_slowly(account, passing)
        if not slot.leases:
            self._idle.pop(account, None)
        slot.leases += 1
        return slot

    def give_back(self, slot: _Slot) -> None:
        """End a lease."""
        slot.leases -= 1
        if not slot.leases:
            self._unleased(slot)

    async def drop(self, account: bytes) -> None:
        """Close the account's database as soon as nobody leases it, and wait for that.

        Raises: StorageError where closing failed.
        """
        slot = self.retire(account)
        if slot is not None:
            await slot.ended.wait()
            if slot.failure is not None:
                raise slot.failure

    def retire(self, account: bytes) -> _Slot | None:
        """Close the account's database as soon as nobody leases it, without waiting for that."""
        slot = self._slots.get(account)
        if slot is not None:
            self._retire(slot)
        return slot

    async def refuse(self, account: bytes) -> None:
        """Grant no lease until `admit`; wait until those there are have ended and the database is closed."""
        self._refused.add(account)
        if (slot := self._slots.get(account)) is not None:
            slot.ready = False
        await self.drop(account)

    def admit(self, account: bytes) -> None:
        """Grant leases of the account again."""
        self._refused.discard(account)

    async def pause(self, account: bytes, drain_s: float = DRAIN_S) -> None:
        """Let whoever wants a lease wait until `resume`; return once those there are have ended.

        Raises: `DatabaseBusy` where they do not end in `drain_s` seconds; nothing is paused then.
        """
        self._paused[account] = asyncio.Event()
        slot = self._slots.get(account)
        if slot is not None:
            slot.ready = False
        try:
            async with asyncio.timeout(drain_s):
                await self.drop(account)
        except BaseException as error:
            self.resume(account)
            if slot is not None and slot.open is not None and not slot.closing:
                slot.retired, slot.ready = False, self._may_be_ready(slot)
            if isinstance(error, TimeoutError):
                raise DatabaseBusy(IN_USE) from None
            raise

    def resume(self, account: bytes) -> None:
        """Grant those leases that wait."""
        if (paused := self._paused.pop(account, None)) is not None:
            paused.set()

    async def close(self) -> None:
        """Grant nothing any more, wait for the leases, close all."""
        self._closed = True
        slots = list(self._slots.values())
        for slot in slots:
            slot.ready = False
            self._retire(slot)
        for slot in slots:
            await slot.ended.wait()

    async def _take_slowly(self, account: bytes, passing: bool) -> _Slot:
        while True:
            if self._closed:
                raise StorageError("closed")
            if account in self._refused:
                raise DatabaseMissing
            if (paused := self._paused.get(account)) is not None:
                await self._ended(paused)
                continue
            slot = self._slots.get(account) or self._start_opening(account, passing)
            if not slot.closing:
                break
            await slot.ended.wait()
        self._idle.pop(account, None)
        slot.leases += 1
        if slot.passing and not passing:
            self._settle(slot)
        try:
            await asyncio.shield(slot.opening)  # others wait for it too
        except BaseException:
            self.give_back(slot)
            raise
        return slot

    async def _ended(self, paused: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(self._pause_s):
                await paused.wait()
        except TimeoutError:
            raise DatabaseBusy("paused") from None

    def _settle(self, slot: _Slot) -> None:
        """Keep open for who came what was open for passers-by alone."""
        self._count(slot)
        slot.ready = self._may_be_ready(slot)
        self._evict()

    def _may_be_ready(self, slot: _Slot) -> bool:
        held_back = slot.passing or slot.account in self._refused or slot.account in self._paused
        return slot.open is not None and not (self._closed or held_back)

    def _count(self, slot: _Slot) -> None:
        """It is open for itself from now on, or not at all any more."""
        self._passing -= slot.passing
        slot.passing = False

    def _unleased(self, slot: _Slot) -> None:
        if slot.open is None or slot.closing:
            return
        if slot.retired or slot.passing:
            self._start_closing(slot)
        else:
            self._idle[slot.account] = slot
            self._evict()

    def _evict(self) -> None:
        while self._idle and len(self._slots) - len(self._closers) - self._passing > self._max_open:
            _, slot = self._idle.popitem()
            self.evicted_total += 1
            self._start_closing(slot)

    def _retire(self, slot: _Slot) -> None:
        slot.retired = True
        if slot.open is not None and not slot.leases and not slot.closing:
            self._idle.pop(slot.account, None)
            self._start_closing(slot)

    def _start_opening(self, account: bytes, passing: bool) -> _Slot:
        self._slots[account] = slot = _Slot(account, passing)
        self._passing += passing
        self._evict()
        slot.opening = asyncio.create_task(self._open(slot))
        slot.opening.add_done_callback(_notice)
        return slot

    async def _open(self, slot: _Slot) -> OpenDatabase:
        try:
            while len(self._closers) >= CLOSING_AT_ONCE:
                await asyncio.wait(self._closers, return_when=asyncio.FIRST_COMPLETED)
            db = await self._reserve.spared(lambda: self._opener(slot.account))
        except BaseException:
            self._count(slot)
            self._slots.pop(slot.account, None)
            slot.ended.set()
            raise
        self.opened_total += 1
        slot.open = OpenDatabase(slot.account, db, self._reserve)
        slot.ready = self._may_be_ready(slot)
        if not slot.leases:  # whoever wanted it was cancelled
            self._unleased(slot)
        return slot.open

    def _start_closing(self, slot: _Slot) -> None:
        self._count(slot)
        slot.ready, slot.closing = False, True
        closer = asyncio.create_task(self._close(slot))
        self._closers.add(closer)
        closer.add_done_callback(self._closers.discard)

    async def _close(self, slot: _Slot) -> None:
        assert slot.open is not None
        try:
            await slot.open.db.close()
        except StorageError as error:
            slot.failure = error
        finally:
            slot.open.memory.clear()
            self._slots.pop(slot.account, None)
            slot.ended.set()


def _notice(opening: asyncio.Task[OpenDatabase]) -> None:
    """Take notice of a failure: those who wait for the opening get it, but they may all be gone."""
    if not opening.cancelled():
        opening.exception()
