"""Where each account's database lives and how it stands: a table of the directory, asked at every opening."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol

from echolia.storage.engine import Database, DatabaseMissing, Statement

_PLACE: Final = "SELECT home, moving_to, leaving, version, failed, blocked FROM databases WHERE account = ?"
_PUT: Final = (
    "INSERT INTO databases (account, home, version) VALUES (?, ?, ?) ON CONFLICT (account) DO NOTHING"
)
_MIGRATED: Final = (
    "UPDATE databases SET version = ?2, failed = ?3 WHERE account = ?1"
    " AND (version <> ?2 OR coalesce(failed, ?3) IS NOT NULL)"
)
# A page by the index of versions; what is blocked or on its way to another place is left where it is.
_BEHIND: Final = (
    "SELECT version, account FROM databases WHERE version < ?1 AND (version, account) > (?2, ?3)"
    " AND failed IS NULL AND blocked = 0 AND moving_to IS NULL ORDER BY version, account LIMIT ?4"
)
# Both are counted in an index alone, and what is quarantined is behind as well.
_TALLY: Final = (
    "SELECT (SELECT count(*) FROM databases WHERE version >= 0 AND version < ?1),"
    " (SELECT count(*) FROM databases WHERE failed IS NOT NULL)"
)
_QUARANTINED: Final = (
    "SELECT account, version, failed FROM databases WHERE failed IS NOT NULL AND account > ?1"
    " ORDER BY account LIMIT ?2"
)
_RELEASE: Final = "UPDATE databases SET failed = NULL WHERE failed IS NOT NULL"
_SWEEP: Final = "SELECT version, paused, size, tried, failed FROM migration_sweep WHERE one = 1"
_PUT_SWEEP: Final = (
    "INSERT INTO migration_sweep (one, version, paused, size, tried, failed) VALUES (1, ?, ?, ?, ?, ?)"
    " ON CONFLICT (one) DO UPDATE SET version = excluded.version, paused = excluded.paused,"
    " size = excluded.size, tried = excluded.tried, failed = excluded.failed"
)
_PAUSE_SWEEP: Final = "UPDATE migration_sweep SET paused = ? WHERE one = 1"
_COUNT_SWEEP: Final = (
    "UPDATE migration_sweep SET tried = tried + ?2, failed = failed + ?3 WHERE one = 1 AND version = ?1"
)

_MOVING: Final = (
    "UPDATE databases SET moving_to = ?3"
    " WHERE account = ?1 AND home = ?2 AND leaving IS NULL AND (moving_to IS NULL OR ?3 IS NULL)"
)
_SWITCH: Final = (
    "UPDATE databases SET home = moving_to, leaving = home, moving_to = NULL"
    " WHERE account = ?1 AND home = ?2 AND moving_to = ?3 AND leaving IS NULL"
)
# Only by who owns the account still: the number of its slot has not grown.
_BY_OWNER: Final = " AND EXISTS (SELECT 1 FROM slots WHERE slot = ?4 AND fence = ?5)"
_LEFT: Final = "UPDATE databases SET leaving = NULL WHERE account = ? AND leaving = ?"
_LEAVING: Final = "SELECT account, leaving FROM databases WHERE leaving IS NOT NULL"
_UNFINISHED: Final = "SELECT account, home FROM databases WHERE version = -1"
_BLOCK: Final = "UPDATE databases SET blocked = ?2 WHERE account = ?1"


class Place(NamedTuple):
    """Where a database is, by the place's name, and how it stands.

    It is being copied `moving_to` another place, or still to be removed from the one that it is `leaving`;
    `version` is its last migration as far as is known (0: not known; `UNFINISHED`: its creation has begun),
    `failed` the code by which a migration of it failed.
    """

    home: str
    moving_to: str | None = None
    leaving: str | None = None
    version: int = 0
    failed: str | None = None
    blocked: bool = False


UNFINISHED: Final = -1


class Behind(NamedTuple):
    """A database whose last known migration is an earlier one; also where a page of them ends."""

    version: int
    account: bytes


FIRST: Final = Behind(0, b"")


class Quarantined(NamedTuple):
    """A database that is left alone since a migration failed with this code, and the version that it has."""

    account: bytes
    version: int
    failed: str


class Tally(NamedTuple):
    """How many databases are behind (also those that are blocked or moving), and how many quarantined."""

    behind: int
    quarantined: int


class SweepState(NamedTuple):
    """What is remembered of the migration to `version`: who `paused` it ("operator", "canary" or nobody), of
    how many databases its canary is, how many were tried and how many of those failed.
    """

    version: int
    paused: str | None = None
    size: int = 0
    tried: int = 0
    failed: int = 0


class Registry(Protocol):
    """Who lives where."""

    async def place(self, account: bytes) -> Place:
        """Where the account's database is. Raises: `DatabaseMissing` where it has none, `StorageError`."""
        ...

    async def put(self, account: bytes, home: str, version: int = 0) -> Place:
        """The account's database shall be there, at this version, unless it has a place; gives its place."""
        ...

    async def migrated(self, account: bytes, version: int, failed: str | None = None) -> None:
        """Its last migration is this one; `failed` is the code by which a further one failed."""
        ...

    async def remove(self, account: bytes) -> None:
        """The account has no database any more."""
        ...

    async def unfinished(self) -> dict[bytes, str]:
        """Whose databases have begun to be created and are not known to be whole, and where they are.

        Raises: `StorageError`.
        """
        ...

    async def behind(self, version: int, most: int, after: Behind = FIRST) -> list[Behind]:
        """At most so many of those before `version`, by version and account, that can be migrated now.

        Neither what is quarantined, nor blocked, nor being moved is among them. Raises: `StorageError`.
        """
        ...

    async def quarantined(self, most: int, after: bytes = b"") -> list[Quarantined]:
        """At most so many of the quarantined, by account. Raises: `StorageError`."""
        ...

    async def release(self, account: bytes | None = None) -> int:
        """End the quarantine of one or all, and say of how many it was. Raises: `StorageError`."""
        ...

    async def tally(self, version: int) -> Tally:
        """How many stand how, where `version` is the last. Raises: `StorageError`."""
        ...

    async def sweep(self) -> SweepState:
        """What was remembered last; version 0 where nothing was. Raises: `StorageError`."""
        ...

    async def put_sweep(self, state: SweepState) -> None:
        """Remember this in its place. Raises: `StorageError`."""
        ...

    async def pause_sweep(self, by: str | None) -> None:
        """It is paused by this one, or goes on; its counts stay. Raises: `StorageError`."""
        ...

    async def count_sweep(self, version: int, tried: int, failed: int) -> SweepState:
        """So many more were tried, if the sweep is still to this version; gives what is remembered now.

        Raises: `StorageError`.
        """
        ...


class DirectoryRegistry:
    """A `Registry` in the directory's tables `databases` and `migration_sweep`."""

    def __init__(self, directory: Database) -> None:
        self._db = directory

    async def place(self, account: bytes) -> Place:
        """See `Registry.place`."""
        found = await self._rows(_PLACE, account)
        if not found:
            raise DatabaseMissing
        return place_of(found[0])

    async def put(self, account: bytes, home: str, version: int = 0) -> Place:
        """See `Registry.put`."""
        putting, asking = Statement(_PUT, (account, home, version)), Statement(_PLACE, (account,))
        _, found = await self._db.batch([putting, asking])
        return place_of(found.rows[0])

    async def migrated(self, account: bytes, version: int, failed: str | None = None) -> None:
        """See `Registry.migrated`."""
        await self._db.batch([Statement(_MIGRATED, (account, version, failed))])

    async def remove(self, account: bytes) -> None:
        """See `Registry.remove`."""
        await self._db.batch([Statement("DELETE FROM databases WHERE account = ?", (account,))])

    async def unfinished(self) -> dict[bytes, str]:
        """See `Registry.unfinished`."""
        return dict(await self._rows(_UNFINISHED))

    # --- moving, blocking: what operators do ---

    async def moving(self, account: bytes, home: str, to: str | None) -> bool:
        """It is being copied from `home` to that place from now on (None: it is not); False if it cannot."""
        (done,) = await self._db.batch([Statement(_MOVING, (account, home, to))])
        return bool(done.changed)

    async def switch(self, account: bytes, home: str, to: str, fence: int | None = None) -> bool:
        """From now on it is at the place that it was being copied to; False if it was not being.

        Where processes own accounts, `fence` is the number by which this one does: False where another has
        taken the account over, and perhaps written to where it was.
        """
        switching = Statement(_SWITCH, (account, home, to))
        if fence is not None:
            switching = Statement(_SWITCH + _BY_OWNER, (account, home, to, account[0], fence))
        (done,) = await self._db.batch([switching])
        return bool(done.changed)

    async def left(self, account: bytes, place: str) -> None:
        """It is removed from the place that it was leaving."""
        await self._db.batch([Statement(_LEFT, (account, place))])

    async def leaving(self) -> dict[bytes, str]:
        """What is still to be removed, and from where."""
        (found,) = await self._db.batch([Statement(_LEAVING)], tx=False)
        rows: list[Any] = found.rows
        return dict(rows)

    async def block(self, account: bytes, blocked: bool) -> None:
        """Refuse everybody the database, or do not any more."""
        await self._db.batch([Statement(_BLOCK, (account, int(blocked)))])

    # --- migrating ---

    async def behind(self, version: int, most: int, after: Behind = FIRST) -> list[Behind]:
        """See `Registry.behind`."""
        return [Behind(*row) for row in await self._rows(_BEHIND, version, *after, most)]

    async def quarantined(self, most: int, after: bytes = b"") -> list[Quarantined]:
        """See `Registry.quarantined`."""
        return [Quarantined(*row) for row in await self._rows(_QUARANTINED, after, most)]

    async def release(self, account: bytes | None = None) -> int:
        """See `Registry.release`."""
        one = Statement(_RELEASE) if account is None else Statement(f"{_RELEASE} AND account = ?", (account,))
        (released,) = await self._db.batch([one])
        return released.changed

    async def tally(self, version: int) -> Tally:
        """See `Registry.tally`."""
        return Tally(*(await self._rows(_TALLY, version))[0])

    async def sweep(self) -> SweepState:
        """See `Registry.sweep`."""
        found = await self._rows(_SWEEP)
        return SweepState(*found[0]) if found else SweepState(0)

    async def put_sweep(self, state: SweepState) -> None:
        """See `Registry.put_sweep`."""
        await self._db.batch([Statement(_PUT_SWEEP, tuple(state))])

    async def pause_sweep(self, by: str | None) -> None:
        """See `Registry.pause_sweep`."""
        await self._db.batch([Statement(_PAUSE_SWEEP, (by,))])

    async def count_sweep(self, version: int, tried: int, failed: int) -> SweepState:
        """See `Registry.count_sweep`."""
        await self._db.batch([Statement(_COUNT_SWEEP, (version, tried, failed))])
        return await self.sweep()

    async def _rows(self, sql: str, *params: int | str | bytes) -> list[Any]:
        (found,) = await self._db.batch([Statement(sql, params)], tx=False)
        return found.rows


class OneHome:
    """A `Registry` that remembers no database, where all are in one place and stay there."""

    def __init__(self, home: str = "files") -> None:
        self._place = Place(home)
        self._sweep = SweepState(0)

    async def place(self, account: bytes) -> Place:
        """See `Registry.place`; whether there is a database is seen when it is opened."""
        return self._place

    async def put(self, account: bytes, home: str, version: int = 0) -> Place:
        """See `Registry.put`."""
        return self._place

    async def migrated(self, account: bytes, version: int, failed: str | None = None) -> None:
        """See `Registry.migrated`."""

    async def remove(self, account: bytes) -> None:
        """See `Registry.remove`."""

    async def unfinished(self) -> dict[bytes, str]:
        """See `Registry.unfinished`."""
        return {}

    async def behind(self, version: int, most: int, after: Behind = FIRST) -> list[Behind]:
        """See `Registry.behind`: what is not remembered is not listed either."""
        return []

    async def quarantined(self, most: int, after: bytes = b"") -> list[Quarantined]:
        """See `Registry.quarantined`: here each lease tries again."""
        return []

    async def release(self, account: bytes | None = None) -> int:
        """See `Registry.release`."""
        return 0

    async def tally(self, version: int) -> Tally:
        """See `Registry.tally`."""
        return Tally(0, 0)

    async def sweep(self) -> SweepState:
        """See `Registry.sweep`."""
        return self._sweep

    async def put_sweep(self, state: SweepState) -> None:
        """See `Registry.put_sweep`."""
        self._sweep = state

    async def pause_sweep(self, by: str | None) -> None:
        """See `Registry.pause_sweep`."""
        self._sweep = self._sweep._replace(paused=by)

    async def count_sweep(self, version: int, tried: int, failed: int) -> SweepState:
        """See `Registry.count_sweep`."""
        state = self._sweep
        if version == state.version:
            self._sweep = state._replace(tried=state.tried + tried, failed=state.failed + failed)
        return self._sweep


def place_of(row: tuple[Any, ...]) -> Place:
    """The place that a row of `databases` says, in the order of `Place`."""
    home, moving_to, leaving, version, failed, blocked = row
    return Place(home, moving_to, leaving, version, failed, bool(blocked))
