"""Accounts' databases at Turso Cloud, each a copy of a migrated template there.

    absent ──create──▶ copy, marked unfinished ──one batch──▶ whole ──delete──▶ absent

The template carries a mark, a table of its own, which the batch that makes a copy somebody's takes away: a
crash between the two leaves a database that says so, and the next creation of the account finishes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from cachetools import LRUCache

from echolia.storage.engine import Database, DatabaseExists, DatabaseMissing, Statement, StorageError
from echolia.storage.hrana.database import HranaDatabase
from echolia.storage.hrana.names import Names
from echolia.storage.hrana.server import Server
from echolia.storage.hrana.tokens import Clock
from echolia.storage.hrana.turso_api import LIFE_S, TursoApi
from echolia.storage.migrate import Migration, filling
from echolia.storage.provisioner import Usage

DATABASE_URL: Final = "https://{host}"
_KEPT_TOKENS: Final = 10_000
_MARK: Final = Statement("CREATE TABLE unfinished (one INTEGER) STRICT")
_UNMARK: Final = Statement("DROP TABLE unfinished")
_MARKED: Final = Statement("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'unfinished')")


class Turso:
    """A `Provisioner`: databases of one group; `{host}` in `database_url` is the name of each one's host."""

    def __init__(
        self,
        api: TursoApi,
        names: Names,
        migrations: Sequence[Migration],
        clock: Clock,
        database_url: str = DATABASE_URL,
    ) -> None:
        """Inside a running event loop."""
        self._api = api
        self._names = names
        self._migrations = migrations
        self._server = Server(database_url)
        self._tokens = _Tokens(api, clock)
        self._template = "t-" + sha256("".join(m.checksum for m in migrations).encode()).hexdigest()[:32]
        self._template_lock = asyncio.Lock()
        self._template_made = False
        self._domain = ""  # what follows a database's name in its host's

    async def open(self, account: bytes) -> Database:
        """See `Provisioner.open`."""
        db = await self._database(self._names.of(account))
        (marked,) = await db.batch([_MARKED], tx=False)
        if marked.rows != [(0,)]:
            raise DatabaseMissing("unfinished")
        return db

    async def create(self, account: bytes, statements: Sequence[Statement] = ()) -> None:
        """See `Provisioner.create`."""
        name = self._names.of(account)
        await self._make_template()
        made = await self._api.create(name, self._template)
        db = await self._database(name)
        if not made and (await db.batch([_MARKED], tx=False))[0].rows != [(1,)]:
            raise DatabaseExists
        try:
            await db.batch([*statements, _UNMARK])
        except StorageError:
            await self.delete(account)
            raise
        finally:
            await db.close()

    async def delete(self, account: bytes) -> None:
        """See `Provisioner.delete`. On plans that people pay for Turso can bring it back for some days."""
        name = self._names.of(account)
        self._tokens.forget(name)
        await self._api.delete(name)

    async def clear(self, account: bytes) -> bool:
        """See `Provisioner.clear`."""
        db = await self._database(self._names.of(account))
        try:
            (marked,) = await db.batch([_MARKED], tx=False)
        except DatabaseMissing:
            return True
        finally:
            await db.close()
        if marked.rows != [(1,)]:
            return False
        await self.delete(account)
        return True

    async def usage(self, account: bytes) -> Usage:
        """See `Provisioner.usage`."""
        return Usage(await self._api.usage(self._names.of(account)))

    async def block(self, account: bytes, blocked: bool) -> None:
        """See `Provisioner.block`."""
        await self._api.block(self._names.of(account), blocked)

    async def sweep(self) -> int:
        """Nothing: what a crash left is cleared by its account."""
        return 0

    async def close(self) -> None:
        """See `Provisioner.close`."""
        await self._server.close()
        await self._api.close()

    async def _make_template(self) -> None:
        async with self._template_lock:
            if self._template_made:
                return
            await self._api.create(self._template)
            db = await self._database(self._template)
            if (await db.batch([_MARKED], tx=False))[0].rows != [(1,)]:
                await db.batch([*filling(self._migrations), _MARK])
            self._template_made = True

    async def _database(self, name: str) -> HranaDatabase:
        return HranaDatabase(self._server, await self._host(name), _Access(self._tokens, name))

    async def _host(self, name: str) -> str:
        """Asked for once: the databases of a group differ in the first part only."""
        if self._domain:
            return name + self._domain
        host = await self._api.host(name)
        if host.startswith(name):
            self._domain = host.removeprefix(name)
        return host


class _Tokens:
    """Tokens that were asked for, each until shortly before its end."""

    def __init__(self, api: TursoApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._kept: LRUCache[str, tuple[str, float]] = LRUCache(_KEPT_TOKENS)

    async def of(self, name: str, renew: bool) -> str:
        token, until = self._kept.get(name, ("", 0.0))
        if renew or self._clock() >= until:
            token, until = await self._api.token(name), self._clock() + LIFE_S * 0.9
            self._kept[name] = token, until
        return token

    def forget(self, name: str) -> None:
        self._kept.pop(name, None)


class _Access:
    """See `database.Access`."""

    def __init__(self, tokens: _Tokens, name: str) -> None:
        self._tokens = tokens
        self._name = name

    async def token(self, renew: bool = False) -> str:
        return await self._tokens.of(self._name, renew)
