"""Words between processes by PostgreSQL's LISTEN and NOTIFY."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import psycopg

from echolia.storage.engine import Database, Statement, StorageError
from echolia.storage.postgres.connections import Address, Connection

# PostgreSQL takes 7,999 bytes.
MOST_LETTERS: Final = 7_900
# After so long PostgreSQL is asked whether it is there.
QUIET_S: Final = 10.0


class Channel:
    """A channel of the database: told by the directory's connections, heard by one of its own."""

    def __init__(self, address: Address, name: str, directory: Database, quiet_s: float = QUIET_S) -> None:
        if not name.isidentifier():
            raise ValueError(name)
        self._address = address
        self._name = name
        self._directory = directory
        self._quiet_s = quiet_s

    async def tell(self, words: Sequence[str]) -> None:
        """Tell all who listen, in this order.

        Raises: as `Database.batch`; then all of it arrives or nothing.
        """
        await self._directory.batch([Statement("SELECT pg_notify(?, ?)", (self._name, one)) for one in words])

    async def listen(self, began: Callable[[], None], heard: Callable[[str], None]) -> None:
        """Hear everybody, oneself too, from `began` on until the connection breaks.

        Raises: `directory_unreachable`.
        """
        connection = await self._address.connect()
        try:
            await connection.execute(f"LISTEN {self._name}")
            began()
            while True:
                await self._hear(connection, heard)
        except (psycopg.Error, TimeoutError):
            pass
        finally:
            await connection.close()
        raise StorageError(code="directory_unreachable")

    async def _hear(self, connection: Connection, heard: Callable[[str], None]) -> None:
        async for notify in connection.notifies(timeout=self._quiet_s):
            heard(notify.payload)
        async with asyncio.timeout(self._address.seconds):
            await connection.execute("SELECT 1")
