"""Units of work that come while another one runs, run as one: less is written to the disk."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from echolia.core.errors import EcholiaError
from echolia.storage.engine import Batches, ConstraintViolated, Result, Statement

# Units of one transaction: whoever is in it waits for all of them.
MOST_TOGETHER: Final = 64


class _Unit(NamedTuple):
    statements: Sequence[Statement]
    done: asyncio.Future[list[Result]]


class Together:
    """Runs units of work on a database, in the order in which they come; the first at once.

    Each is applied as a whole or not at all, and fails alone for what the data forbids; any other failure is
    that of all that ran together. Cancelled, a unit that has not begun is not applied.
    """

    def __init__(self, db: Batches) -> None:
        self._db = db
        self._waiting: deque[_Unit] = deque()
        self._running: asyncio.Task[None] | None = None

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """One unit of work; see `engine.Database.batch`. What needs no transaction is run for itself."""
        if not tx:
            return await self._db.batch(statements, tx=False)
        unit = _Unit(statements, asyncio.get_running_loop().create_future())
        self._waiting.append(unit)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await unit.done

    async def _run(self) -> None:
        try:
            while units := self._next():
                await self._applied(units)
        finally:
            self._running = None
            for unit in self._waiting:  # only where this was cancelled
                unit.done.cancel()
            self._waiting.clear()

    def _next(self) -> list[_Unit]:
        units = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_TOGETHER))]
        left = [unit for unit in units if not unit.done.done()]
        return left or (self._next() if self._waiting else [])

    async def _applied(self, units: Sequence[_Unit]) -> None:
        try:
            results = iter(await self._db.batch([each for unit in units for each in unit.statements]))
        except ConstraintViolated as error:
            if len(units) == 1:
                _fail(units, error)
                return
            for unit in units:
                await self._applied([unit])
        except EcholiaError as error:
            _fail(units, error)
        except BaseException:  # cancelled, or a mistake of ours: nobody is left waiting
            for unit in units:
                unit.done.cancel()
            raise
        else:
            for unit in units:
                found = [next(results) for _ in unit.statements]
                if not unit.done.done():
                    unit.done.set_result(found)


def _fail(units: Sequence[_Unit], error: EcholiaError) -> None:
    for unit in units:
        if not unit.done.done():
            unit.done.set_exception(error)
