"""Databases that another process has open: here its end of the socket is in this one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from echolia.storage.engine import Database
from echolia.workers.channel import Hearing, Peer
from echolia.workers.remote_database import RemoteDatabase, answering
from echolia.workers.sockets import connect, listen
from tests.contracts.driver import SqliteHome


class RemoteHome:
    """Each database has a socket of its own."""

    nature = SqliteHome.nature

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._there = SqliteHome(folder)
        self._ends: list[tuple[asyncio.Server, Hearing, Peer, Database]] = []

    async def make(self, name: str) -> Database:
        """A new database over there."""
        return await self._asked(await self._there.make(name))

    async def open(self, name: str) -> Database:
        """The database of that name over there."""
        return await self._asked(await self._there.open(name))

    async def _asked(self, db: Database) -> Database:
        hearing, name = Hearing(answering("database", db)), f"{len(self._ends)}.sock"
        server = await listen(self._folder, name, hearing)
        peer = await connect(self._folder, name)
        self._ends.append((server, hearing, peer, db))
        return RemoteDatabase("database", peer.ask)

    async def close(self) -> None:
        """Hang up, end the other side."""
        for server, hearing, peer, db in self._ends:
            await peer.close()
            server.close()
            await hearing.close()
            await db.close()
        await self._there.close()
