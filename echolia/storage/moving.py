"""Moves accounts' databases from one place to another while they are served.

    home ──moving_to──▶ copied while clients go on ──pause──▶ the rest, compared ──switch──▶ leaving ──▶ home

Which place is authoritative is one row of the directory, and changes by one statement. Before it the copy has
no `account` row, or one that the next attempt removes first; behind it the old database is what is left over.
So whatever a crash interrupts, one place has all of it, and `move` again goes on. A process that has lost the
account and has not noticed switches nothing, and writes nothing into a copy that the next owner has finished.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from echolia.core.errors import EcholiaError
from echolia.storage.copying import (
    PAGE_ROWS,
    State,
    Sum,
    Tell,
    catch_up,
    copy_whole,
    counted,
    last_key,
    mend,
    state_of,
    tables_of,
)
from echolia.storage.databases import UserDatabases
from echolia.storage.engine import Database, DatabaseBusy, DatabaseExists, DatabaseMissing, Result, Statement
from echolia.storage.fencing import fenced_copy
from echolia.storage.leases import IN_USE
from echolia.storage.migrate import migrate
from echolia.storage.provisioner import Provisioner
from echolia.storage.registry import DirectoryRegistry, Place

# The table that grows without bounds; of all others an account has a few rows.
_LOG: Final = "runs"
_OWNER: Final = "account"
_NO_OWNER: Final = Statement("DELETE FROM account")
# As long as more than this comes while it is being copied, the rest is not yet worth a pause.
_FEW_ROWS: Final = PAGE_ROWS
_ROUNDS: Final = 8


class Patience(NamedTuple):
    """How long a pause waits for who uses the database, how often it is tried, and how far apart at first.

    Somebody may use it for long (a compaction does): others are not kept waiting behind that.
    """

    drain_s: float = 2.0
    tries: int = 12
    between_s: float = 1.0


class Moved(NamedTuple):
    """Where a database came from and is now, how many rows there were, and for how long it was paused."""

    source: str
    home: str
    rows: int
    root: bytes
    paused_s: float


USUAL: Final = Patience()


class Moves:
    """Moves the databases that `registry` knows; one account's are moved one after the other."""

    def __init__(
        self, databases: UserDatabases, registry: DirectoryRegistry, patience: Patience = USUAL
    ) -> None:
        self._databases = databases
        self._registry = registry
        self._patience = patience
        tables = tables_of(databases.migrations)
        self._log = next(table for table in tables if table.name == _LOG)
        self._owner = next(table for table in tables if table.name == _OWNER)
        self._few = [table for table in tables if table.name not in (_LOG, _OWNER)]
        self._tables = tables

    async def move(self, account: bytes, to: str, tell: Tell = lambda *_: None) -> Moved:
        """Move an account's database to the place `to`, or go on with that; to its own: give a move up.

        Raises: `home_unknown`, `DatabaseExists` (there is one of it at that place, of no move),
        `DatabaseMissing`, `DatabaseBusy`, `move_unverified`, `StorageError`.
        """
        return await self._databases.work(account, lambda: self._move(account, to, tell))

    async def give_up(self, account: bytes) -> None:
        """Remove what an interrupted move left, on either side; within `work`."""
        place = await self._left(account)
        if place.moving_to is not None:
            await self._removed(place.moving_to, account)
            await self._registry.moving(account, place.home, None)

    async def sweep(self) -> int:
        """Remove databases from the places that they have left; returns how many could be.

        What cannot be removed now is looked for again next time. Raises: `StorageError` of the directory.
        """
        removed = 0
        for account in filter(self._databases.ours, await self._registry.leaving()):
            try:
                await self._databases.work(account, lambda account=account: self._left(account))  # type: ignore[misc]
                removed += 1
            except EcholiaError:
                continue
        return removed

    async def _move(self, account: bytes, to: str, tell: Tell) -> Moved:
        target, fence = self._databases.home(to), self._databases.fence(account)
        place = await self._left(account)
        if place.moving_to not in (None, to):
            await self.give_up(account)
            place = await self._registry.place(account)
        if place.home == to:
            return Moved(to, to, 0, b"", 0.0)
        if not place.blocked:  # a copy has the last version's tables
            await self._databases.upgrade(account, forced=True)
        await self._begin(account, place, to)
        copy = await self._opened(target, account, fence)
        try:
            begun = None if place.blocked else await self._copy_online(account, copy, tell)
            moved = await self._switch(account, to, fence, copy, begun)
        finally:
            await copy.close()
        await self._left(account)
        return moved

    async def _left(self, account: bytes) -> Place:
        """Its place, once it is removed from the one that it has left."""
        place = await self._registry.place(account)
        if place.leaving is None:
            return place
        await self._removed(place.leaving, account)
        await self._registry.left(account, place.leaving)
        return place._replace(leaving=None)

    async def _removed(self, name: str, account: bytes) -> None:
        self._databases.fence(account)  # who has lost it does not know what is left over
        await self._databases.home(name).delete(account)

    async def _begin(self, account: bytes, place: Place, to: str) -> None:
        target = self._databases.home(to)
        if place.moving_to is None:
            if await _is_there(target, account):
                raise DatabaseExists("at that place, and of no move")
            if not await self._registry.moving(account, place.home, to):
                raise DatabaseBusy("its place has changed")
        with suppress(DatabaseExists):  # that of an interrupted move
            # From the template, and nobody's: nothing serves a database without its owner's row.
            await target.create(account)

    async def _opened(self, target: Provisioner, account: bytes, fence: int | None) -> Database:
        copy = await target.open(account)
        try:
            await migrate(copy, self._databases.migrations)
            copy = copy if fence is None else fenced_copy(copy, fence)
            await copy.batch([_NO_OWNER])
        except BaseException:
            await copy.close()
            raise
        return copy

    async def _copy_online(self, account: bytes, copy: Database, tell: Tell) -> tuple[Sum, Sum]:
        """Copy the log while it grows and is compacted; sums up both sides as far as they are alike."""
        source = _Leased(self._databases, account)
        total = (await counted(source, [self._log]))[_LOG]
        done = (await counted(copy, [self._log]))[_LOG]

        def told(rows: int) -> None:
            nonlocal done
            done += rows
            tell("rows", done, max(done, total))

        told(0)
        for _ in range(_ROUNDS):
            if await catch_up(source, copy, self._log, told) <= _FEW_ROWS:
                break
        await mend(source, copy, self._log)
        theirs, ours = Sum(self._log), Sum(self._log)
        if (end := await last_key(copy, self._log)) is not None:
            await asyncio.gather(theirs.advance(source, end), ours.advance(copy, end))
        return theirs, ours

    async def _switch(
        self, account: bytes, to: str, fence: int | None, copy: Database, begun: tuple[Sum, Sum] | None
    ) -> Moved:
        for n in range(self._patience.tries):
            try:
                return await self._switched(account, to, fence, copy, begun)
            except DatabaseBusy as error:
                if error.detail != IN_USE:
                    raise
            await asyncio.sleep(self._patience.between_s * 2 ** min(n, 3))
        raise DatabaseBusy(IN_USE)

    async def _switched(
        self, account: bytes, to: str, fence: int | None, copy: Database, begun: tuple[Sum, Sum] | None
    ) -> Moved:
        async with self._databases.paused(account, self._patience.drain_s):
            started = asyncio.get_running_loop().time()
            place = await self._registry.place(account)
            async with self._databases.alone(account, place) as source:
                state = await self._finish(source, copy, begun)
            if state is None:
                await copy.close()
                await self.give_up(account)
                raise EcholiaError("move_unverified")
            if place.blocked:
                await self._databases.home(to).block(account, True)
            await copy.close()
            if not await self._registry.switch(account, place.home, to, fence):
                raise DatabaseBusy("its place has changed")
            paused_s = asyncio.get_running_loop().time() - started
        return Moved(place.home, to, sum(state.counts.values()), state.root, paused_s)

    async def _finish(self, source: Database, copy: Database, begun: tuple[Sum, Sum] | None) -> State | None:
        """Copy what is still to be copied, the owner's row last; None if the two are not alike then."""
        await catch_up(source, copy, self._log)
        if await mend(source, copy, self._log) or begun is None:
            begun = Sum(self._log), Sum(self._log)
        await copy_whole(source, copy, self._few)
        await catch_up(source, copy, self._owner)
        theirs, ours = begun
        states = await asyncio.gather(
            state_of(source, self._tables, [theirs]), state_of(copy, self._tables, [ours])
        )
        return states[0] if states[0] == states[1] else None


class _Leased:
    """A served database whose lease ends with each unit of work, so that a move keeps nobody waiting."""

    def __init__(self, databases: UserDatabases, account: bytes) -> None:
        self._databases = databases
        self._account = account

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """See `engine.Database.batch`."""
        async with self._databases.lease(self._account) as db:
            return await db.batch(statements, tx)


async def _is_there(place: Provisioner, account: bytes) -> bool:
    try:
        db = await place.open(account)
        try:
            await db.batch([Statement("SELECT 1")], tx=False)
        finally:
            await db.close()
    except DatabaseMissing:
        return False
    return True
