"""A real driver of real files that notes what is open, and fails where a test says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from echolia.storage.engine import Database, Result, Statement, StorageError
from echolia.storage.sqlite.driver import SqliteDriver


class CountingDriver(SqliteDriver):
    """Notes which files are open (`now`), how many at most were (`most`), and each opening (`names`).

    `failing` names files that cannot be opened and why; `fault` may say of any work why it fails.
    """

    def __init__(self, threads: int = 4) -> None:
        super().__init__(threads)
        self.now: Counter[str] = Counter()
        self.most = 0
        self.names: list[str] = []
        self.failing: dict[str, StorageError] = {}
        self.fault: Callable[[str], StorageError | None] = lambda _: None

    async def open(self, path: Path, create: bool = False, *, cache_kib: int | None = None) -> Database:
        """Open it, and note that."""
        if (failure := self.failing.get(path.stem) or self.fault("open")) is not None:
            raise failure
        db = await super().open(path, create, cache_kib=cache_kib)
        self.now[path.stem] += 1
        assert self.now[path.stem] == 1, "two connections on one file"
        self.names.append(path.stem)
        self.most = max(self.most, self.now.total())
        return CountedDatabase(db, self, path.stem)


class CountedDatabase:
    """A database whose closing is noted."""

    def __init__(self, db: Database, driver: CountingDriver, name: str) -> None:
        self._db = db
        self._driver = driver
        self._name = name

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """See `engine.Database.batch`."""
        if (failure := self._driver.fault("batch")) is not None:
            raise failure
        return await self._db.batch(statements, tx)

    async def snapshot(self, path: Path) -> None:
        """See `engine.Database.snapshot`."""
        await self._db.snapshot(path)

    async def reclaim(self) -> None:
        """See `engine.Database.reclaim`."""
        await self._db.reclaim()

    async def close(self) -> None:
        """Close it; a failure is told though it is closed."""
        await self._db.close()
        self._driver.now[self._name] = 0
        if (failure := self._driver.fault("close")) is not None:
            raise failure
