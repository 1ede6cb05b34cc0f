"""Disks that end the process between any two durable steps, or are full; one for each process that runs."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random
from typing import TypeVar

from echolia.storage.engine import Database, Result, Statement, StorageFull
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sqlite.reclaim import reclaim
from tests.simulator.crashes import Crashed
from tests.simulator.virtual_time import Inline

T = TypeVar("T")


class Disk:
    """What one process writes to. Once dead it takes nothing more: whoever still runs only seems to."""

    def __init__(self, on_death: Callable[[], None] = lambda: None) -> None:
        self.dead, self.full = False, False
        self._on_death = on_death
        self._left, self._after = 0, False

    def crash_at(self, step: int, *, after: bool) -> None:
        """End the process at its `step`-th durable step from now, before or after that is taken."""
        self._left, self._after = step, after

    def die(self) -> None:
        """The process has ended."""
        if not self.dead:
            self.dead = True
            self._on_death()

    def alive(self) -> None:
        """Return if the process still runs."""
        if self.dead:
            raise Crashed

    def begin(self) -> None:
        """A durable step is about to be taken."""
        self.alive()
        if self.full:
            raise OSError(errno.ENOSPC, "")
        self._left -= 1
        if self._left == 0 and not self._after:
            self.die()
            raise Crashed

    def end(self) -> None:
        """It is taken."""
        if self._left == 0 and self._after:
            self.die()
            raise Crashed(taken=True)

    def durably(self, step: Callable[[], object]) -> None:
        """A device's step: see `Environment.durably`."""
        self.begin()
        step()
        self.end()


class ServerDriver:
    """The storage's `FileDriver` on a disk; units of work pause now and then, so that requests overtake."""

    def __init__(self, disk: Disk, chance: Random) -> None:
        self._inner = SqliteDriver(Inline())
        self._disk, self._chance = disk, chance

    async def open(self, path: Path, create: bool = False, *, cache_kib: int | None = None) -> Database:
        """See `Driver.open`."""
        self._disk.alive()
        return _ServerDatabase(await self._inner.open(path, create, cache_kib=cache_kib), self)

    async def copy(self, template: bytes, path: Path, statements: Sequence[Statement]) -> None:
        """See `FileDriver.copy`."""
        await self.step(lambda: self._inner.copy(template, path, statements))

    async def run(self, work: Callable[[], T]) -> T:
        """See `FileDriver.run`."""
        return await self.step(lambda: self._inner.run(work))

    async def step(self, work: Callable[[], Awaitable[T]]) -> T:
        """One durable step."""
        await self.pause()
        try:
            self._disk.begin()
        except OSError:
            raise StorageFull from None
        result = await work()
        self._disk.end()
        return result

    async def pause(self) -> None:
        """What a busy disk may do."""
        self._disk.alive()
        if self._chance.random() < 0.1:
            await asyncio.sleep(self._chance.random() * 0.01)


class _ServerDatabase:
    """A `Database` whose every unit of work that writes is a durable step."""

    def __init__(self, inner: Database, driver: ServerDriver) -> None:
        self._inner, self._driver = inner, driver

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """See `Database.batch`."""
        if any(_writes(statement.sql) for statement in statements):
            return await self._driver.step(lambda: self._inner.batch(statements, tx))
        await self._driver.pause()
        return await self._inner.batch(statements, tx)

    async def snapshot(self, path: Path) -> None:
        """See `Database.snapshot`."""
        await self._driver.step(lambda: self._inner.snapshot(path))

    async def reclaim(self) -> None:
        """See `Database.reclaim`; each of its steps is a durable one."""
        await reclaim(self)

    async def close(self) -> None:
        """See `Database.close`: what a process leaves open, its end closes."""
        await self._inner.close()


def _writes(sql: str) -> bool:
    return any(word in sql for word in ("INSERT", "UPDATE", "DELETE", "CREATE", "wal_checkpoint"))
