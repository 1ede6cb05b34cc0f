"""The migrated, empty database that every account's database begins as: made once, copied by its bytes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path

from echolia.storage.engine import FileDriver, StorageFull
from echolia.storage.migrate import Migration, migrate
from echolia.storage.sqlite import user_files


class Template:
    """Makes the template when it is first needed, in `folder`, and keeps its bytes (some 24 KiB)."""

    def __init__(self, folder: Path, driver: FileDriver, migrations: Sequence[Migration]) -> None:
        # Of its own name: other processes may make theirs in the same folder.
        self._path = folder / f"template-{secrets.token_hex(4)}.db"
        self._driver = driver
        self._migrations = migrations
        self._lock = asyncio.Lock()
        self._content = b""

    async def content(self) -> bytes:
        """The file's bytes. Raises: StorageError and its kinds; the next call tries again."""
        if not self._content:
            async with self._lock:
                self._content = self._content or await self._build()
        return self._content

    async def _build(self) -> bytes:
        await self._driver.run(lambda: user_files.make_room(self._path))
        db = await self._driver.open(self._path, create=True)
        try:
            await migrate(db, self._migrations)
        finally:
            await db.close()
        return await self._driver.run(self._read)

    def _read(self) -> bytes:
        # Closing moves the log into the file, but keeps it where the disk is full: no whole file then.
        if user_files.has_log(self._path):
            raise StorageFull
        content = self._path.read_bytes()
        self._path.unlink()
        return content
