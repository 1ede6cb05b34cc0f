"""The one door to the databases: what a unit of work is, what can go wrong, what a driver must do.

EcholiaError
  └─ StorageError          storage_failed, migration_changed, migration_ahead
       ├─ ConstraintViolated   storage_constraint   the data forbids it; nothing was applied
       ├─ DatabaseBusy         storage_busy         somebody else holds the file; try again
       ├─ DatabaseMissing      storage_missing      there is no such database (any more)
       ├─ DatabaseElsewhere    storage_elsewhere    another process owns it now; ask there
       ├─ DatabaseExists       storage_exists       there is one already
       ├─ OutcomeUnknown       storage_uncertain    no answer: applied as a whole or not at all
       ├─ StorageFull          storage_full         no room on the disk; nothing was applied
       │    └─ PlaceFull                            no room on another machine's
       ├─ DatabaseDamaged      storage_damaged      not a database, a broken one, or another account's
       └─ FolderOwned          storage_owned        another process owns the folder
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol, TypeVar

from echolia.core.errors import EcholiaError

Value = int | float | str | bytes | None
T = TypeVar("T")


class Statement(NamedTuple):
    """One SQL statement and its positional parameters (integers within 64 bits)."""

    sql: str
    params: tuple[Value, ...] = ()


class Result(NamedTuple):
    """What a statement gave back: its rows (of a query or RETURNING) and how many rows it changed."""

    rows: list[tuple[Value, ...]]
    changed: int


class StorageError(EcholiaError):
    """A failure of the storage; `detail` names an engine's error constant, never SQL or its parameters."""

    default_code: ClassVar[str] = "storage_failed"

    def __init__(self, detail: str = "", *, code: str = "") -> None:
        super().__init__(code or self.default_code, detail)


class ConstraintViolated(StorageError):
    """A constraint refused a statement; the whole unit of work was undone."""

    default_code = "storage_constraint"


class DatabaseBusy(StorageError):
    """The database stayed locked by somebody else; nothing was applied and it may be tried again."""

    default_code = "storage_busy"


class DatabaseMissing(StorageError):
    """There is no such database, or it is being deleted."""

    default_code = "storage_missing"


class DatabaseElsewhere(StorageError):
    """Another process owns the database; nothing was applied."""

    default_code = "storage_elsewhere"


class DatabaseExists(StorageError):
    """A database was to be created that exists already; the existing one is untouched."""

    default_code = "storage_exists"


class OutcomeUnknown(StorageError):
    """The answer did not arrive: the unit of work applied as a whole or not at all, and nobody here knows."""

    default_code = "storage_uncertain"


class StorageFull(StorageError):
    """The disk has no room or refuses to be written; nothing was applied."""

    default_code = "storage_full"


class PlaceFull(StorageFull):
    """The server that keeps the database has no room: none that this machine could give up would help."""


class DatabaseDamaged(StorageError):
    """The file is not a database, is malformed, or belongs to another account."""

    default_code = "storage_damaged"


class FolderOwned(StorageError):
    """Another server process owns the data folder."""

    default_code = "storage_owned"


class Batches(Protocol):
    """What most users of a database need of it."""

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """One unit of work; see `Database.batch`."""
        ...


class Database(Protocol):
    """One open database: statements go in as whole units of work."""

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """Run the statements in order as one unit of work and return one `Result` for each.

        With `tx` all of them apply or none does; without it those before a failing one stay applied.
        Once it returns, what was written survives a crash. Concurrent batches run one after another.
        Cancelled, it stops what runs, and either nothing or (if the commit had begun) everything applied.
        A read-check-write is written as SQL conditions: `INSERT … SELECT … WHERE`, `UPDATE … RETURNING`.
        Raises: `StorageError` or one of its kinds.
        """
        ...

    async def snapshot(self, path: Path) -> None:
        """Write all of it as it is at one moment to `path`, a new SQLite file; other batches wait meanwhile.

        The file is on the disk once this returns; where it fails there is none. Cancelled, there is none, or
        (if it was done by then) a whole one.
        Raises: `DatabaseExists` (there is such a file), `StorageFull`, `StorageError`.
        """
        ...

    async def reclaim(self) -> None:
        """Give up the room of deleted rows, so that nothing of them stays beside the database either.

        Raises: `StorageError`.
        """
        ...

    async def close(self) -> None:
        """Finish the running batch, then let go of the database; a second call does nothing."""
        ...


class Driver(Protocol):
    """What opens databases."""

    async def open(self, path: Path, create: bool = False, *, cache_kib: int | None = None) -> Database:
        """Open the database at `path`; only with `create` may it come into being.

        `cache_kib` is how much memory its pages may take where not the driver's usual.
        Raises: `DatabaseMissing`, `DatabaseDamaged`, `StorageFull`, `StorageError`.
        """
        ...


class FileDriver(Driver, Protocol):
    """A driver whose databases are plain files, so that they can be copied, moved and removed."""

    async def copy(self, template: bytes, path: Path, statements: Sequence[Statement]) -> None:
        """Write a database at `path`, which must not exist: the template's bytes, then the statements.

        One thread hop; the file's content is on disk on return. On failure a remainder may lie at `path`.
        Raises: as `Database.batch`.
        """
        ...

    async def run(self, work: Callable[[], T]) -> T:
        """Run file work in the driver's threads; cancelled, it still waits until the work has ended."""
        ...
