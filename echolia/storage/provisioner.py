"""What makes, opens and removes the accounts' databases of one kind of place: files, an sqld, Turso."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from echolia.storage.engine import Database, Statement


class Usage(NamedTuple):
    """What a database takes: `bytes` at rest; None where the place does not tell."""

    bytes: int | None


class Provisioner(Protocol):
    """One place of databases, each of which is named by its account's id (16 bytes).

    It neither looks into a database nor shares one: whoever opens a database owns it until it is closed.
    """

    async def open(self, account: bytes) -> Database:
        """Open the account's database. Raises: `DatabaseMissing`, `StorageError`."""
        ...

    async def create(self, account: bytes, statements: Sequence[Statement] = ()) -> None:
        """Make the account's database: the migrated template, then the statements; all of it or nothing.

        Once it returns, the database survives a crash; a crash before that leaves it whole or not at all.
        Raises: `DatabaseExists`, `ConstraintViolated`, `StorageFull`, `StorageError`.
        """
        ...

    async def delete(self, account: bytes) -> None:
        """Remove the account's closed database for good, if there is one. Raises: `StorageError`."""
        ...

    async def clear(self, account: bytes) -> bool:
        """Remove what an interrupted creation left of the account's database; False if there is a whole one.

        Not while it is being created. Raises: `StorageError`.
        """
        ...

    async def usage(self, account: bytes) -> Usage:
        """What the account's database takes. Raises: `DatabaseMissing`, `StorageError`."""
        ...

    async def block(self, account: bytes, blocked: bool) -> None:
        """Refuse all reading and writing of the database at its place, where the place can do that.

        Raises: `DatabaseMissing`, `StorageError`.
        """
        ...

    async def sweep(self) -> int:
        """Finish what a crash interrupted, and say how much it was; before the first creation or deletion."""
        ...

    async def close(self) -> None:
        """Let go of the place; the databases are closed before."""
        ...
