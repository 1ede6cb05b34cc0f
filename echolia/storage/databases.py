"""One database per account, wherever it lives: migrated and checked when opened, removed for good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from echolia.storage.engine import (
    Database,
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseElsewhere,
    DatabaseExists,
    DatabaseMissing,
    Statement,
    StorageError,
)
from echolia.storage.fencing import fenced
from echolia.storage.leases import DRAIN_S, Lease, OpenDatabase, OpenDatabases
from echolia.storage.migrate import APPLIED, Migration
from echolia.storage.provisioner import Provisioner
from echolia.storage.registry import UNFINISHED, Place, Registry
from echolia.storage.reserve import Reserve
from echolia.storage.upgrades import Upgrades

__all__ = ["OpenDatabase", "Stats", "UserDatabases"]

T = TypeVar("T")
FILES: Final = "files"
_WHOSE: Final = Statement("SELECT account FROM account WHERE one = 1")
# Breaks CHECK (one = 1) unless the account's row is there: a database never gets its name without its owner.
_ASSERT_OWNER: Final = (
    "INSERT INTO account (one, account, epoch) SELECT 2, ?, 0"
    " WHERE NOT EXISTS (SELECT 1 FROM account WHERE one = 1 AND account = ?)"
)


def owner(account: bytes, epoch: int) -> Statement:
    """Makes a new database the account's; its log begins in this epoch."""
    return Statement("INSERT INTO account (one, account, epoch) VALUES (1, ?, ?)", (account, epoch))


@dataclass(frozen=True, slots=True)
class Stats:
    """How many databases are open and leased now, and how many were opened, evicted, created, deleted."""

    open: int
    leased: int
    opened_total: int
    evicted_total: int
    created_total: int
    deleted_total: int


class UserDatabases:
    """The accounts' databases in the `homes`, by their names; `max_open` is how many stay open.

    A process has one of these for the accounts that are its own; no other process touches their databases.
    Opening asserts that a database is the account's and applies the `migrations` it lacks, unless they are
    paused. New accounts go to `new_home`. `fence` gives the number by which this process owns an account, or
    raises `DatabaseElsewhere`; None where there is no other process. On a full disk what is there is served
    with the room of the `reserve`, and nothing new is made.
    """

    def __init__(
        self,
        homes: Mapping[str, Provisioner],
        registry: Registry,
        migrations: Sequence[Migration],
        max_open: int = 512,
        reserve: Reserve | None = None,
        new_home: str = FILES,
        fence: Callable[[bytes], int | None] = lambda _: None,
    ) -> None:
        self.homes = homes
        self.registry = registry
        self.migrations = migrations
        self.upgrades = Upgrades(registry, migrations)
        self.new_home = new_home
        self.fence = fence
        self._reserve = reserve or Reserve(Path())
        self._opens = OpenDatabases(self._open, max_open, self._reserve)
        self._changes: dict[bytes, asyncio.Task[None]] = {}  # accounts being created or deleted
        self._works: dict[bytes, asyncio.Task[Any]] = {}
        self._forgetting: list[Callable[[bytes], Awaitable[None]]] = []
        self._closed = False
        self._created_total = 0
        self._deleted_total = 0

    @property
    def open_count(self) -> int:
        """How many databases are open, being opened or being closed."""
        return self._opens.open_count

    def stats(self) -> Stats:
        """The numbers of this moment."""
        opens = self._opens
        return Stats(
            open=opens.open_count,
            leased=opens.leased_count,
            opened_total=opens.opened_total,
            evicted_total=opens.evicted_total,
            created_total=self._created_total,
            deleted_total=self._deleted_total,
        )

    def lease(self, account: bytes) -> Lease:
        """A database for the time of an `async with`, opened if need be; leases of one account share it.

        Do not `drop` or `delete` an account inside a lease of it: both wait for the lease.
        Raises (on entering): `DatabaseMissing`, `DatabaseDamaged` (also: another account's database),
        `database_blocked`, `database_quarantined` (a migration failed), `migration_ahead` and
        `migration_changed`, `StorageError`.
        """
        return Lease(self._opens, account)

    async def upgrade(self, account: bytes, *, forced: bool = False) -> None:
        """Bring the account's database to the last version as a lease would, and keep it open for nobody.

        Where migrations are paused it stays as it is, unless `forced`.
        Raises: as `lease`, and why it stays behind.
        """
        self._reserve.refuse_growth()
        try:
            async with Lease(self._opens, account, passing=True) as database:
                upgrading = database.memory.setdefault("upgrading", asyncio.Lock())
                assert isinstance(upgrading, asyncio.Lock)
                async with upgrading:  # two at once would apply a step twice
                    known = (await self.registry.place(account)).version
                    if known == self.upgrades.latest:  # brought there as it was opened
                        return
                    (applied,) = await database.db.batch([APPLIED], tx=False)
                    failure = await self.upgrades.bring(
                        account, database.db, applied.rows, known, forced=forced
                    )
        except StorageError as error:
            if error.code == "database_quarantined":
                self._opens.retire(account)
            raise
        if failure is not None:
            raise failure

    async def create(self, account: bytes, statements: Sequence[Statement] = ()) -> None:
        """Make the account's database from the template and the statements, which insert its `account` row.

        Once it returns, the database survives a crash of the machine; a crash before that leaves it whole or
        not at all. Once begun it goes on though cancelled.
        Raises: `DatabaseExists`, `ConstraintViolated` (also: no such row), `StorageFull`, `StorageError`.
        """
        self._reserve.refuse_growth()
        await self._change(account, lambda: self._create(account, statements))

    async def delete(self, account: bytes) -> None:
        """Remove the account's database for good, wherever there is something of it, and what else is of it.

        Long work on it ends, leases are refused, those there are waited for. Whether or not there is one.
        Once begun it goes on though cancelled. Raises: StorageError.
        """
        await self._change(account, lambda: self._delete(account))

    async def release(self, theirs: Callable[[bytes], bool]) -> None:
        """Close the databases of these accounts as soon as nobody leases them, and wait for that."""
        await asyncio.gather(*(self.drop(account) for account in self._opens.accounts() if theirs(account)))

    def ours(self, account: bytes) -> bool:
        """Whether the account is this process's own."""
        try:
            self.fence(account)
        except DatabaseElsewhere:
            return False
        return True

    def on_delete(self, forget: Callable[[bytes], Awaitable[None]]) -> None:
        """Whatever else is kept of an account is removed by `forget` before its database is."""
        self._forgetting.append(forget)

    async def work(self, account: bytes, job: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do long work on an account's database (a move, a snapshot) to its end, one at a time.

        A deletion of the account ends it. Raises: `DatabaseBusy` (something else is being done),
        `DatabaseMissing` (the account was deleted meanwhile), what the job raises.
        """
        if self._closed:
            raise StorageError("closed")
        if account in self._works or account in self._changes:
            raise DatabaseBusy("something else is being done with it")
        task = asyncio.create_task(job())
        self._works[account] = task
        task.add_done_callback(lambda _: self._works.pop(account))
        caller = asyncio.current_task()
        try:
            return await task
        except asyncio.CancelledError:
            if caller is not None and caller.cancelling():
                raise
            raise DatabaseMissing("deleted meanwhile") from None

    @asynccontextmanager
    async def paused(self, account: bytes, drain_s: float = DRAIN_S) -> AsyncIterator[None]:
        """The account's database is closed meanwhile; whoever wants a lease waits for some seconds.

        For `work` alone. Raises: `DatabaseBusy` (`IN_USE`) where leases do not end in `drain_s` seconds.
        """
        await self._opens.pause(account, drain_s)
        try:
            yield
        finally:
            self._opens.resume(account)

    @asynccontextmanager
    async def alone(self, account: bytes, place: Place) -> AsyncIterator[Database]:
        """The account's database where it is, though it may be blocked, for whoever has it `paused`.

        Raises: as a lease does.
        """
        home = self.home(place.home)
        if place.blocked:
            await home.block(account, False)
        try:
            db = await self._open_at(account, place)
            try:
                yield db
            finally:
                await db.close()
        finally:
            if place.blocked:
                await home.block(account, True)

    @asynccontextmanager
    async def reading(self, account: bytes) -> AsyncIterator[Database]:
        """The account's database for whoever runs the server, though it may be blocked; for `work` alone.

        Raises: as a lease does, and `DatabaseBusy`.
        """
        place = await self.registry.place(account)
        if not place.blocked:
            async with self.lease(account) as leased:
                yield leased.db
            return
        async with self.paused(account), self.alone(account, place) as db:
            yield db

    async def drop(self, account: bytes) -> None:
        """Close the account's database as soon as nobody leases it, and wait for that."""
        await self._opens.drop(account)

    async def sweep(self) -> int:
        """Finish what a crash interrupted and take up how migrations stand; call it before all else.

        Creations at a place that cannot be reached wait for another time. Returns how many creations and
        deletions there were. Raises: StorageError.
        """
        await self.upgrades.begin()
        swept = sum([await self._reserve.spared(home.sweep) for home in self.homes.values()])
        away: set[str] = set()
        for account, home in (await self.registry.unfinished()).items():
            if home in away:
                continue
            try:
                swept += await self._clear(account, home)
            except StorageError:
                away.add(home)
        return swept

    async def close(self) -> None:
        """Refuse everything new, wait for what runs and for the leases, close all databases."""
        self._closed = True
        for task in self._works.values():
            task.cancel()
        while busy := {*self._changes.values(), *self._works.values()}:
            await asyncio.wait(busy)
        await self._opens.close()

    async def _open(self, account: bytes) -> Database:
        self.fence(account)  # a place that is asked for by its owner stays true: nobody else moves it
        place = await self.registry.place(account)
        if place.blocked:
            raise StorageError(code="database_blocked")
        return await self._open_at(account, place)

    def home(self, name: str) -> Provisioner:
        """The place of this name. Raises: `home_unknown`."""
        home = self.homes.get(name)
        if home is None:
            raise StorageError(code="home_unknown")
        return home

    async def _open_at(self, account: bytes, place: Place) -> Database:
        if place.failed is not None:
            raise StorageError(place.failed, code="database_quarantined")
        fence = self.fence(account)
        db = await self.home(place.home).open(account)
        try:
            await self._check(account, db, place.version)
            if fence is not None:
                return await fenced(db, fence)
        except BaseException:
            await db.close()
            raise
        return db

    async def _check(self, account: bytes, db: Database, known: int) -> None:
        """Assert whose it is and apply the migrations it lacks; one hop where there are none.

        `known` is the version that the registry knows.
        """
        try:
            applied, whose = await db.batch([APPLIED, _WHOSE], tx=False)
        except StorageError as error:
            if error.detail == "SQLITE_ERROR":  # no such tables
                raise DatabaseDamaged("not an account's database") from None
            raise
        if whose.rows != [(account,)]:
            raise DatabaseDamaged("another account's database")
        await self.upgrades.bring(account, db, applied.rows, known)

    async def _change(self, account: bytes, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run one creation or deletion of an account after the other, each to its end."""
        while (other := self._changes.get(account)) is not None:
            await asyncio.wait({other})
        if self._closed:
            raise StorageError("closed")
        change = asyncio.create_task(work())
        self._changes[account] = change
        change.add_done_callback(lambda _: self._changes.pop(account))
        change.add_done_callback(_notice)
        await asyncio.shield(change)

    async def _create(self, account: bytes, statements: Sequence[Statement]) -> None:
        place = await self.registry.put(account, self.new_home, UNFINISHED)
        theirs = [*statements, Statement(_ASSERT_OWNER, (account, account))]
        try:
            self._reserve.refuse_growth()  # to write where it is to be may have taken the reserve's room
            await self.home(place.home).create(account, theirs)
        except DatabaseExists:
            if place.version == UNFINISHED:
                await self.registry.migrated(account, 0)
            raise
        except StorageError:
            with suppress(StorageError):  # it is away, or full: another creation clears it, or the next sweep
                await self._clear(account, place.home)
            raise
        await self.registry.migrated(account, self.upgrades.latest)
        self._created_total += 1

    async def _clear(self, account: bytes, home: str) -> bool:
        """Remove and forget what a creation left that came to no end; False if there is a whole database."""
        cleared = await self.home(home).clear(account)
        if cleared:
            await self.registry.remove(account)
        else:
            await self.registry.migrated(account, 0)
        return cleared

    async def _delete(self, account: bytes) -> None:
        if (work := self._works.get(account)) is not None:
            work.cancel()
            await asyncio.wait({work})
        try:
            await self._opens.refuse(account)
            for forget in self._forgetting:
                await forget(account)
            place = await self.registry.place(account)
            for name in filter(None, {place.home, place.moving_to, place.leaving}):
                remove = partial(self.home(name).delete, account)
                await self._reserve.spared(remove)
            await self.registry.remove(account)
        except DatabaseMissing:
            pass
        finally:
            self._opens.admit(account)
        self._deleted_total += 1


def _notice(change: asyncio.Task[None]) -> None:
    """Take notice of a failure: the caller gets it, but may have been cancelled."""
    if not change.cancelled():
        change.exception()
