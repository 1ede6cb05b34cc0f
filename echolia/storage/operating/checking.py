"""Looks through accounts' databases: whether each is where it is to be, whole, its owner's, and alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, runtime_checkable

from echolia.storage.copying import Tell
from echolia.storage.databases import UserDatabases
from echolia.storage.engine import Database, DatabaseMissing, Statement, StorageError
from echolia.storage.operating.listing import listed, without_place
from echolia.storage.registry import Place
from echolia.storage.snapshots import Snapshots

PAGE: Final = 200
_QUICK_CHECK: Final = Statement("PRAGMA quick_check(1)")


@runtime_checkable
class OwnDisk(Protocol):
    """A place of this machine: it knows which databases it has, and looking through one costs nobody else."""

    async def accounts(self) -> list[bytes]:
        """Whose databases there are."""
        ...


class Finding(NamedTuple):
    """Something that is not as it should be: of which account, at which place, by a stable word."""

    account: bytes
    home: str
    code: str


@dataclass(frozen=True, slots=True)
class Checking:
    """Checks by the same doors that requests take, so databases that lack migrations get them."""

    databases: UserDatabases
    directory: Database
    snapshots: Snapshots

    async def one(self, account: bytes, place: Place) -> list[Finding]:
        """What is wrong with one account's database."""
        found = []
        if place.moving_to is not None or place.leaving is not None:
            found.append("move_unfinished")
        try:
            async with self.databases.reading(account) as db:
                if isinstance(self.databases.home(place.home), OwnDisk):
                    (looked,) = await db.batch([_QUICK_CHECK], tx=False)
                    if looked.rows != [("ok",)]:
                        found.append("storage_damaged")
        except StorageError as error:
            found.append(error.code)
        return [Finding(account, place.home, code) for code in found]

    async def all(self, tell: Tell) -> tuple[int, list[Finding]]:
        """How many databases there are, and what is wrong with them or lies around beside them."""
        found: list[Finding] = []
        count = 0
        places: dict[bytes, Place] = {}
        async for account, place in self._every():
            places[account] = place
            if self.databases.ours(account):
                found += await self._beside_others(account, place)
                count += 1
                tell("databases", count, None)
        found += [Finding(each, "", "storage_missing") for each in await without_place(self.directory)]
        found += await self._orphans(places)
        return count, found

    async def _beside_others(self, account: bytes, place: Place) -> list[Finding]:
        try:
            return await self.databases.work(account, lambda: self.one(account, place))
        except DatabaseMissing:
            return []  # deleted meanwhile
        except StorageError as error:
            return [Finding(account, place.home, error.code)]

    async def _every(self) -> AsyncIterator[tuple[bytes, Place]]:
        after = None
        while page := await listed(self.directory, after, PAGE):
            for each in page:
                yield each
            after = page[-1][0]

    async def _orphans(self, places: dict[bytes, Place]) -> list[Finding]:
        """Databases and snapshots that belong to nobody, or are where they should not be."""
        there = [(account, "snapshots") for account in await self.snapshots.accounts()]
        lost = [Finding(account, name, "orphan") for account, name in there if account not in places]
        for name, home in self.databases.homes.items():
            ids = await home.accounts() if isinstance(home, OwnDisk) else []
            lost += [
                Finding(each, name, "orphan") for each in ids if not await self._belongs(each, name, places)
            ]
        return lost

    async def _belongs(self, account: bytes, name: str, places: dict[bytes, Place]) -> bool:
        place = places.get(account)
        if place is None or name not in place[:3]:
            # It may have come or moved while the others were looked at.
            try:
                place = await self.databases.registry.place(account)
            except DatabaseMissing:
                return False
        return name in place[:3]
