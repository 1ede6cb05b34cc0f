"""What whoever runs the server can do with accounts' databases, in plain values: text, numbers, lists, maps.

The commands of `echolia db` ask `Operator`: in their own process while the server is stopped, or through
whatever carries plain values to the server that runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from echolia.core.errors import EcholiaError
from echolia.storage.copying import Tell, counted, tables_of
from echolia.storage.databases import UserDatabases
from echolia.storage.engine import Database, DatabaseMissing, StorageError
from echolia.storage.moving import Moves
from echolia.storage.operating.checking import Checking, Finding
from echolia.storage.operating.listing import Filter, account_of, id_of, is_known, listed
from echolia.storage.operating.restoring import Restoring
from echolia.storage.registry import DirectoryRegistry, Place
from echolia.storage.snapshots import Snapshot, Snapshots
from echolia.storage.sweeping import Sweep

MOST_LISTED: Final = 1000
Value = dict[str, Any]
# {"progress": what, "done": n, "total": n or None}, any number of times, then {"result": …}.
Events = AsyncIterator[Value]


class Operating(Protocol):
    """What the commands ask; `user` is an account's id in hexadecimal or its beginning."""

    async def list(
        self, after: str | None, most: int, home: str | None, failed: bool, blocked: bool
    ) -> Value:
        """A page of databases: {"databases": [place, …], "next": id or None}."""
        ...

    async def show(self, user: str) -> Value:
        """One database: its place, bytes, rows by table, snapshots."""
        ...

    async def block(self, user: str, blocked: bool) -> Value:
        """Refuse the account its database (`database_blocked`), or do not any more."""
        ...

    def move(self, user: str, to: str) -> Events:
        """Move it to another place, or go on with that; to its own: give a move up."""
        ...

    def snapshot(self, user: str) -> Events:
        """Keep it as it is now, sealed."""
        ...

    def export(self, user: str, file: str) -> Events:
        """Write it as it is now as a new, plain SQLite file; the path is absolute."""
        ...

    def restore(self, user: str, which: str, is_file: bool, replace: bool) -> Events:
        """Put a file or a snapshot, by its name, in its place."""
        ...

    def check(self, user: str | None) -> Events:
        """Look through it, or through all: {"checked": n, "findings": […]}."""
        ...

    async def migration(self) -> Value:
        """How the migration of all databases stands, as `sweeping.Progress`, and which are quarantined."""
        ...

    async def pause_migration(self, paused: bool) -> Value:
        """Migrate nothing that can wait, or go on; then as `migration`."""
        ...

    async def retry_migration(self) -> Value:
        """Have the quarantined tried again; then as `migration`."""
        ...

    def migrate(self, user: str | None) -> Events:
        """Migrate it now, quarantined or paused as it may be, or all that are behind; then as `migration`."""
        ...


@dataclass(frozen=True, slots=True)
class Operator:
    """An `Operating` of the process that has the databases."""

    databases: UserDatabases
    registry: DirectoryRegistry
    directory: Database
    snapshots: Snapshots
    moves: Moves
    restoring: Restoring
    upgrading: Sweep

    async def list(
        self, after: str | None, most: int, home: str | None, failed: bool, blocked: bool
    ) -> Value:
        """See `Operating.list`."""
        most = min(most, MOST_LISTED)
        start = None if after is None else id_of(after)
        page = await listed(self.directory, start, most, Filter(home, failed, blocked))
        more = page[-1][0].hex() if len(page) == most else None
        return {"databases": [_place(account, place) for account, place in page], "next": more}

    async def show(self, user: str) -> Value:
        """See `Operating.show`."""
        account = await account_of(self.directory, user)
        place = await self.registry.place(account)
        kept = await self.snapshots.listed(account)
        return {
            **_place(account, place),
            **await self._size(account, place),
            "snapshots": [each._asdict() for each in kept],
        }

    async def block(self, user: str, blocked: bool) -> Value:
        """See `Operating.block`."""
        account = await account_of(self.directory, user)
        await self.databases.work(account, lambda: self._block(account, blocked))
        return _place(account, await self.registry.place(account))

    def move(self, user: str, to: str) -> Events:
        """See `Operating.move`."""

        async def job(tell: Tell) -> Value:
            account = await account_of(self.directory, user)
            moved = await self.moves.move(account, to, tell)
            return {"account": account.hex(), **moved._asdict(), "root": moved.root.hex()}

        return _told(job)

    def snapshot(self, user: str) -> Events:
        """See `Operating.snapshot`."""

        async def job(_tell: Tell) -> Value:
            account = await account_of(self.directory, user)
            taken = await self.databases.work(account, lambda: self._snapshot(account))
            return {"account": account.hex(), **taken._asdict()}

        return _told(job)

    def export(self, user: str, file: str) -> Events:
        """See `Operating.export`."""

        async def job(_tell: Tell) -> Value:
            account = await account_of(self.directory, user)
            await self.databases.work(account, lambda: self._export(account, Path(file)))
            return {"account": account.hex(), "file": file}

        return _told(job)

    def restore(self, user: str, which: str, is_file: bool, replace: bool) -> Events:
        """See `Operating.restore`."""

        async def job(tell: Tell) -> Value:
            account = await account_of(self.directory, user)
            if not await is_known(self.directory, account):
                raise EcholiaError("account_unknown")
            what = Path(which) if is_file else which
            state, former = await self.databases.work(
                account, lambda: self.restoring.restore(account, what, replace, tell)
            )
            kept = None if former is None else former.name
            return {"account": account.hex(), "counts": dict(state.counts), "former": kept}

        return _told(job)

    def check(self, user: str | None) -> Events:
        """See `Operating.check`."""
        checking = Checking(self.databases, self.directory, self.snapshots)

        async def job(tell: Tell) -> Value:
            if user is None:
                count, found = await checking.all(tell)
                return _checked(count, found)
            account = await account_of(self.directory, user)
            try:
                place = await self.registry.place(account)
            except DatabaseMissing as error:
                return _checked(1, [Finding(account, "", error.code)])
            return _checked(1, await self.databases.work(account, lambda: checking.one(account, place)))

        return _told(job)

    async def migration(self) -> Value:
        """See `Operating.migration`."""
        failed = [
            {"account": account.hex(), "version": version, "code": code}
            for account, version, code in await self.upgrading.failed(MOST_LISTED)
        ]
        return {**(await self.upgrading.status())._asdict(), "failures": failed}

    async def pause_migration(self, paused: bool) -> Value:
        """See `Operating.pause_migration`."""
        await (self.upgrading.pause() if paused else self.upgrading.resume())
        return await self.migration()

    async def retry_migration(self) -> Value:
        """See `Operating.retry_migration`."""
        await self.upgrading.retry()
        return await self.migration()

    def migrate(self, user: str | None) -> Events:
        """See `Operating.migrate`."""

        async def job(tell: Tell) -> Value:
            if user is not None:
                await self.upgrading.one(await account_of(self.directory, user))
                return await self.migration()
            most = 0
            async for told in self.upgrading.watch():
                most = max(most, told.behind)
                tell("databases", most - told.behind, most)
            return await self.migration()

        return _told(job)

    async def sweep(self) -> int:
        """Finish what a crash interrupted, and say how much it was; before anything else is done."""
        return await self.databases.sweep() + await self.moves.sweep() + await self.snapshots.sweep()

    async def _size(self, account: bytes, place: Place) -> Value:
        """What it takes, and how many rows; or the code by which it does not open."""
        told: Value = {"bytes": None, "counts": None, "error": None}
        try:
            told["bytes"] = (await self.databases.home(place.home).usage(account)).bytes
            async with self.databases.lease(account) as db:
                told["counts"] = await counted(db, tables_of(self.databases.migrations))
        except StorageError as error:
            told["error"] = error.code
        return told

    async def _block(self, account: bytes, blocked: bool) -> None:
        home = self.databases.home((await self.registry.place(account)).home)
        if blocked:
            # First nobody gets it any more, then nobody has it, then its place refuses it.
            await self.registry.block(account, True)
            await self.databases.drop(account)
        await home.block(account, blocked)
        if not blocked:
            await self.registry.block(account, False)

    async def _snapshot(self, account: bytes) -> Snapshot:
        async with self.databases.reading(account) as db:
            return await self.snapshots.take(account, db)

    async def _export(self, account: bytes, file: Path) -> None:
        async with self.databases.reading(account) as db:
            await db.snapshot(file)


def _place(account: bytes, place: Place) -> Value:
    return {"account": account.hex(), **place._asdict()}


def _checked(count: int, found: list[Finding]) -> Value:
    return {
        "checked": count,
        "findings": [{**each._asdict(), "account": each.account.hex()} for each in found],
    }


async def _told(job: Callable[[Tell], Awaitable[Value]]) -> Events:
    """The job's progress as it goes on, then its result; who stops listening ends it."""
    events: asyncio.Queue[Value | None] = asyncio.Queue()

    async def run() -> Value:
        try:
            return await job(
                lambda what, done, total: events.put_nowait({"progress": what, "done": done, "total": total})
            )
        finally:
            events.put_nowait(None)

    task = asyncio.create_task(run())
    try:
        while (event := await events.get()) is not None:
            yield event
        yield {"result": await task}
    finally:
        task.cancel()
        await asyncio.wait({task})
