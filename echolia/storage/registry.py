"""Where each account's database lives: a table of the directory, asked whenever a database is opened."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol

from echolia.storage.engine import Database, DatabaseMissing, Statement

_PLACE: Final = "SELECT home, moving_to, leaving, version, failed, blocked FROM databases WHERE account = ?"
_PUT = "INSERT INTO databases (account, home) VALUES (?, ?) ON CONFLICT (account) DO NOTHING"
_MIGRATED: Final = (
    "UPDATE databases SET version = ?2, failed = ?3 WHERE account = ?1"
    " AND (version <> ?2 OR coalesce(failed, ?3) IS NOT NULL)"
)


class Place(NamedTuple):
    """Where a database is, by the place's name, and how it stands.

    It is being copied `moving_to` another place, or still to be removed from the one that it is `leaving`;
    `version` is its last migration as far as is known (0: not known), `failed` the code by which a migration
    of it failed.
    """

    home: str
    moving_to: str | None = None
    leaving: str | None = None
    version: int = 0
    failed: str | None = None
    blocked: bool = False


class Registry(Protocol):
    """Who lives where."""

    async def place(self, account: bytes) -> Place:
        """Where the account's database is. Raises: `DatabaseMissing` where it has none, `StorageError`."""
        ...

    async def put(self, account: bytes, home: str) -> Place:
        """The account's database shall be there, unless it has a place already; gives its place."""
        ...

    async def migrated(self, account: bytes, version: int, failed: str | None = None) -> None:
        """Its last migration is this one; `failed` is the code by which a further one failed."""
        ...

    async def remove(self, account: bytes) -> None:
        """The account has no database any more."""
        ...


class DirectoryRegistry:
    """A `Registry` in the directory's table `databases`."""

    def __init__(self, directory: Database) -> None:
        self._db = directory

    async def place(self, account: bytes) -> Place:
        """See `Registry.place`."""
        (found,) = await self._db.batch([Statement(_PLACE, (account,))], tx=False)
        if not found.rows:
            raise DatabaseMissing
        return _place(found.rows[0])

    async def put(self, account: bytes, home: str) -> Place:
        """See `Registry.put`."""
        _, found = await self._db.batch([Statement(_PUT, (account, home)), Statement(_PLACE, (account,))])
        return _place(found.rows[0])

    async def migrated(self, account: bytes, version: int, failed: str | None = None) -> None:
        """See `Registry.migrated`."""
        await self._db.batch([Statement(_MIGRATED, (account, version, failed))])

    async def remove(self, account: bytes) -> None:
        """See `Registry.remove`."""
        await self._db.batch([Statement("DELETE FROM databases WHERE account = ?", (account,))])


class OneHome:
    """A `Registry` that remembers nothing, where all databases are in one place and stay there."""

    def __init__(self, home: str = "files") -> None:
        self._place = Place(home)

    async def place(self, account: bytes) -> Place:
        """See `Registry.place`; whether there is a database is seen when it is opened."""
        return self._place

    async def put(self, account: bytes, home: str) -> Place:
        """See `Registry.put`."""
        return self._place

    async def migrated(self, account: bytes, version: int, failed: str | None = None) -> None:
        """See `Registry.migrated`."""

    async def remove(self, account: bytes) -> None:
        """See `Registry.remove`."""


def _place(row: tuple[Any, ...]) -> Place:
    home, moving_to, leaving, version, failed, blocked = row
    return Place(home, moving_to, leaving, version, failed, bool(blocked))
