"""A database that another process has open: each unit of work is one question to it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from cbor2 import CBOREncodeError

from echolia.core.errors import EcholiaError
from echolia.storage import engine
from echolia.storage.engine import Database, DatabaseBusy, Result, Statement, StorageError
from echolia.workers.channel import Gone

_KINDS: Final[dict[str, type[StorageError]]] = {
    kind.default_code: kind
    for kind in vars(engine).values()
    if isinstance(kind, type) and issubclass(kind, StorageError)
}
Ask = Callable[..., Awaitable[Any]]


class RemoteDatabase:
    """Asks by `ask(verb, …)`, where verb is `name` and what is to be done: see `answering`."""

    def __init__(self, name: str, ask: Ask) -> None:
        self._name = name
        self._ask = ask
        self._asking = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """See `engine.Database.batch`. Where the other process ends, nothing or all may have been applied."""
        asked = [[statement.sql, list(statement.params)] for statement in statements]
        found = await self._asked("batch", asked, tx)
        return [Result([tuple(row) for row in rows], changed) for rows, changed in found]

    async def snapshot(self, path: Path) -> None:
        """See `engine.Database.snapshot`."""
        await self._asked("snapshot", os.fspath(path))

    async def reclaim(self) -> None:
        """See `engine.Database.reclaim`."""
        await self._asked("reclaim")

    async def close(self) -> None:
        """See `engine.Database.close`; the other process keeps it open."""
        self._closed = True
        await self._idle.wait()

    async def _asked(self, what: str, *words: Any) -> Any:
        if self._closed:
            raise StorageError("closed")
        self._asking += 1
        self._idle.clear()
        try:
            return await self._ask(f"{self._name} {what}", *words)
        except Gone:
            failure: StorageError = DatabaseBusy("the process that has it open has gone")
        except StorageError:
            raise
        except (UnicodeError, CBOREncodeError) as error:
            failure = StorageError(type(error).__name__)
        except EcholiaError as error:
            failure = said_again(error)
        finally:
            self._asking -= 1
            if not self._asking:
                self._idle.set()
        raise failure


def said_again(error: EcholiaError) -> StorageError:
    """The storage's own error for one that came from another process."""
    kind = _KINDS.get(error.code)
    return kind(error.detail) if kind else StorageError(error.detail, code=error.code)


def answering(name: str, db: Database) -> dict[str, Callable[..., Awaitable[Any]]]:
    """The verbs by which a `RemoteDatabase` of this name asks for `db`."""

    async def batch(asked: list[Any], tx: bool) -> list[Any]:
        return await batched(db, asked, tx=tx)

    async def snapshot(path: str) -> None:
        await db.snapshot(Path(path))

    return {f"{name} batch": batch, f"{name} snapshot": snapshot, f"{name} reclaim": db.reclaim}


async def batched(db: engine.Batches, asked: list[Any], *, tx: bool) -> list[Any]:
    """One unit of work, as it was asked for from another process."""
    results = await db.batch([Statement(sql, tuple(params)) for sql, params in asked], tx)
    return [[result.rows, result.changed] for result in results]
