"""Accounts' databases as namespaces of an sqld, made and removed over its admin API.

    absent ──create──▶ empty ──one batch──▶ whole ──delete──▶ absent

A namespace that is empty is nobody's: a crash left it before its only batch, and the next creation fills it.
To migrate in that batch is quicker than to fork a template (`docs/decisions/0015-hrana.md`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from echolia.storage.engine import Database, DatabaseExists, DatabaseMissing, Statement, StorageError
from echolia.storage.hrana.admin import Admin
from echolia.storage.hrana.database import HranaDatabase
from echolia.storage.hrana.names import Names, checked
from echolia.storage.hrana.server import ANSWER_S, Server
from echolia.storage.hrana.tokens import Clock, SignedAccess, Signer
from echolia.storage.migrate import Migration, filling
from echolia.storage.provisioner import Usage

_EMPTY: Final = Statement("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)")
_SIZE: Final = Statement("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")


class Sqld:
    """A `Provisioner`: namespaces of the sqld at `url`, which knows the public half of the signer's key."""

    def __init__(
        self,
        url: str,
        admin: Admin,
        signer: Signer,
        names: Names,
        migrations: Sequence[Migration],
        clock: Clock,
        answer_s: float = ANSWER_S,
    ) -> None:
        """Inside a running event loop."""
        self._server = Server(url, answer_s)
        self._admin = admin
        self._signer = signer
        self._names = names
        self._migrations = migrations
        self._clock = clock

    async def open(self, account: bytes) -> Database:
        """See `Provisioner.open`."""
        db = self.database(self._names.of(account))
        (empty,) = await db.batch([_EMPTY], tx=False)
        if empty.rows != [(0,)]:
            raise DatabaseMissing("unfinished")
        return db

    async def create(self, account: bytes, statements: Sequence[Statement] = ()) -> None:
        """See `Provisioner.create`."""
        name = self._names.of(account)
        db = self.database(name)
        if not await self._admin.create(name):
            (empty,) = await db.batch([_EMPTY], tx=False)
            if empty.rows != [(1,)]:
                raise DatabaseExists
        try:
            await db.batch([*filling(self._migrations), *statements])
        except StorageError:
            await self._admin.delete(name)
            raise
        finally:
            await db.close()

    async def delete(self, account: bytes) -> None:
        """See `Provisioner.delete`."""
        await self._admin.delete(self._names.of(account))

    async def clear(self, account: bytes) -> bool:
        """See `Provisioner.clear`."""
        name = self._names.of(account)
        db = self.database(name)
        try:
            (empty,) = await db.batch([_EMPTY], tx=False)
        except DatabaseMissing:
            return True
        finally:
            await db.close()
        if empty.rows != [(1,)]:
            return False
        await self._admin.delete(name)
        return True

    async def usage(self, account: bytes) -> Usage:
        """See `Provisioner.usage`; sqld's own number is late by minutes, so the database is asked."""
        db = self.database(self._names.of(account))
        (size,) = await db.batch([_SIZE], tx=False)
        found: Any = size.rows[0][0]
        return Usage(int(found))

    async def block(self, account: bytes, blocked: bool) -> None:
        """See `Provisioner.block`."""
        await self._admin.block(self._names.of(account), blocked)

    async def sweep(self) -> int:
        """Nothing: sqld lists no namespaces; what a crash left is cleared by its account."""
        return 0

    async def close(self) -> None:
        """See `Provisioner.close`."""
        await self._server.close()
        await self._admin.close()

    def database(self, name: str) -> HranaDatabase:
        """The namespace of that name, whether or not there is one."""
        access = SignedAccess(self._signer, checked(name), self._clock)
        return HranaDatabase(self._server, f"{name}.db", access)
