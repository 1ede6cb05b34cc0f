"""The database port over PostgreSQL: each unit of work is one round trip, and means what it would alone."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import AsyncCursor
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool

from echolia.storage.engine import DatabaseBusy, Result, Statement, StorageError, Value
from echolia.storage.postgres.connections import Connection
from echolia.storage.postgres.dialect import Translated, translated
from echolia.storage.postgres.faults import AGAIN, outcome_unknown, storage_error

# How often a batch is tried that met another one, and a batch that only reads and lost its connection.
ATTEMPTS: Final = 12
READ_ATTEMPTS: Final = 3
_FIRST_PAUSE_MS: Final = 2
_LONGEST_PAUSE_MS: Final = 100
# The server ends what takes too long; this much later it is not there any more.
_GRACE_S: Final = 5.0
_CANCEL_S: Final = 0.1
_COUNTED: Final = ("INSERT", "UPDATE", "DELETE")


class _Unit(NamedTuple):
    """What is asked in one round trip: statements and parameters for PostgreSQL."""

    statements: list[tuple[str, tuple[Value, ...]]]
    reads: bool
    alters: bool


class _Again(Exception):
    """It met another batch and left no trace; `failure` is what to say where it is not tried again."""

    def __init__(self, failure: StorageError) -> None:
        super().__init__()
        self.failure = failure


class _Lost(Exception):
    """The connection broke under something that only reads."""


class PostgresDatabase:
    """The database that a pool leads to; no statement takes longer than `seconds`, no schema change aside."""

    def __init__(self, pool: AsyncConnectionPool[Connection], seconds: float) -> None:
        self._pool = pool
        self._seconds = seconds
        self._asked = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._works: set[asyncio.Task[list[Result]]] = set()
        # Those who met others go on one at a time: else they would meet each other again.
        self._meeting = asyncio.Lock()
        self._closed = False

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """Run the statements as one transaction; see `engine.Database.batch`.

        Where the connection breaks, what only reads is asked anew; of the rest it is not known whether it
        was stored, and the error (`unavailable`) says so.
        """
        if self._closed:
            raise StorageError("closed")
        units = _units(statements, tx)
        self._asked += 1
        self._quiet.clear()
        try:
            return [result for unit in units for result in await self._done(unit)]
        finally:
            self._asked -= 1
            if not self._asked:
                self._quiet.set()

    async def snapshot(self, path: Path) -> None:
        """Refused: PostgreSQL has tools of its own for that, such as pg_dump."""
        raise StorageError("back PostgreSQL up by pg_dump")

    async def reclaim(self) -> None:
        """Nothing: PostgreSQL itself gives up the room of deleted rows (autovacuum)."""

    async def close(self) -> None:
        """Finish the running batches, then close the connections; a second call does nothing."""
        self._closed = True
        await self._quiet.wait()
        if self._works:  # of batches that were cancelled twice
            await asyncio.wait(self._works)
        await self._pool.close()

    async def _done(self, unit: _Unit) -> list[Result]:
        """Do it, again where it met others."""
        try:
            return await self._read_again(unit)
        except _Again as again:
            failure = again.failure
        async with self._meeting:
            for attempt in range(1, ATTEMPTS):
                await asyncio.sleep(_pause_s(attempt))
                try:
                    return await self._read_again(unit)
                except _Again as again:
                    failure = again.failure
        raise failure

    async def _read_again(self, unit: _Unit) -> list[Result]:
        """Do it, again where it only reads and the connection broke."""
        for _ in range(READ_ATTEMPTS):
            with suppress(_Lost):
                return await self._once(unit)
        raise DatabaseBusy("connection lost")

    async def _once(self, unit: _Unit) -> list[Result]:
        """Do it on one connection. Cancelled, it stops what runs and waits until it has ended."""
        connection = await self._connection()
        work = asyncio.create_task(self._used(connection, unit))
        self._works.add(work)
        work.add_done_callback(self._ended)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            while not work.done():
                with suppress(psycopg.Error):
                    await connection.cancel_safe(timeout=_GRACE_S)
                await asyncio.wait([work], timeout=_CANCEL_S)
            raise

    def _ended(self, work: asyncio.Task[list[Result]]) -> None:
        self._works.discard(work)
        if not work.cancelled():
            work.exception()  # taken notice of: whoever waited for it may be gone

    async def _connection(self) -> Connection:
        """One of the pool's, which waits by `wait_for`: before Python 3.12 that can keep a cancellation to
        itself, and who was cancelled would go on.
        """
        task = asyncio.current_task()
        assert task is not None
        before, connection, failure = task.cancelling(), None, None
        try:
            connection = await self._pool.getconn()
        except psycopg.Error as error:
            failure = storage_error(error)
        if task.cancelling() > before:
            if connection is not None:
                await self._pool.putconn(connection)
            raise asyncio.CancelledError
        if connection is None:
            assert failure is not None
            raise failure
        return connection

    async def _used(self, connection: Connection, unit: _Unit) -> list[Result]:
        """Use the connection and give it back as it was, or broken."""
        try:
            async with asyncio.timeout(None if unit.alters else self._seconds + _GRACE_S):
                return await (_alone if len(unit.statements) == 1 else _together)(connection, unit)
        except Exception as error:  # noqa: BLE001  # said anew without its message, and raised below
            failure = _failure(connection, unit, error)
        finally:
            await self._cleaned(connection)
            await self._pool.putconn(connection)
        raise failure

    async def _cleaned(self, connection: Connection) -> None:
        """No transaction stays open; the pool throws away what cannot be cleaned."""
        try:
            if not connection.closed and connection.info.transaction_status != TransactionStatus.IDLE:
                async with asyncio.timeout(self._seconds):
                    await connection.execute("ROLLBACK")
        except (psycopg.Error, TimeoutError):
            await connection.close()


def _units(statements: Sequence[Statement], tx: bool) -> list[_Unit]:
    """One unit of work, or without `tx` as many as there are statements: what only reads goes together."""
    texts = [_translated(statement) for statement in statements]
    asked = [
        (text.sql, tuple(params[number - 1] for number in text.order))
        for text, (_, params) in zip(texts, statements, strict=True)
    ]
    reads, alters = all(text.reads for text in texts), any(text.alters for text in texts)
    if not asked:
        return []
    if tx or reads:
        return [_Unit(asked, reads, alters)]
    return [_Unit([one], text.reads, text.alters) for one, text in zip(asked, texts, strict=True)]


def _translated(statement: Statement) -> Translated:
    nulls = frozenset(number for number, value in enumerate(statement.params, 1) if value is None)
    text = translated(statement.sql, nulls)
    if text.given != len(statement.params):
        raise StorageError("parameters")
    return text


async def _alone(connection: Connection, unit: _Unit) -> list[Result]:
    """A single statement is a transaction of its own already."""
    ((sql, params),) = unit.statements
    if unit.alters:
        return await _together(connection, unit)
    cursor = connection.cursor(binary=True)
    await cursor.execute(sql, params)
    return [await _result(cursor)]


async def _together(connection: Connection, unit: _Unit) -> list[Result]:
    """All in one round trip: the first that fails keeps the others, and the commit, from being done."""
    cursors = []
    async with connection.pipeline():
        await connection.execute(f"BEGIN{' READ ONLY' if unit.reads else ''}")
        if unit.alters:  # takes as long as there are rows
            await connection.execute("SET LOCAL statement_timeout = 0")
        for sql, params in unit.statements:
            cursors.append(cursor := connection.cursor(binary=True))
            await cursor.execute(sql, params)
        await connection.execute("COMMIT")
    return [await _result(cursor) for cursor in cursors]


async def _result(cursor: AsyncCursor[tuple[Any, ...]]) -> Result:
    rows = await cursor.fetchall() if cursor.description else []
    written = (cursor.statusmessage or "").startswith(_COUNTED)
    return Result(rows, cursor.rowcount if written else 0)


def _failure(connection: Connection, unit: _Unit, error: Exception) -> Exception:
    """What to raise, which quotes nothing; decided by how the connection stands afterwards."""
    if connection.closed or isinstance(error, TimeoutError):
        return _Lost() if unit.reads else outcome_unknown()
    failure = storage_error(error)
    again = isinstance(error, psycopg.Error) and error.sqlstate in AGAIN
    return _Again(failure) if again else failure


def _pause_s(attempt: int) -> float:
    """A random pause, longer each time."""
    return secrets.randbelow(min(_FIRST_PAUSE_MS << attempt, _LONGEST_PAUSE_MS) * 1000) / 1_000_000
