"""One database on a Hrana server: a unit of work is one request, and whoever has it open owns it.

What is sent a second time (`docs/decisions/0015-hrana.md`): only what surely never ran. That is so where no
connection came about, where the token was refused (401), and where the database was not found (404): a server
that has just put a database aside to make room says so of one that is there.

What was cancelled or lost is not forgotten: a server may still be at it. The next unit of work first waits
for it (`_settle`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol

from echolia.storage.engine import (
    DatabaseBusy,
    OutcomeUnknown,
    Result,
    Statement,
    StorageError,
)
from echolia.storage.hrana import pipeline
from echolia.storage.hrana.faults import status_error
from echolia.storage.hrana.server import NOT_SENT, Server
from echolia.storage.hrana.snapshot import write_snapshot

# Before each further attempt, by why the former did not run. A restarting server is back in about a second.
_PAUSES_S: Final[Mapping[int, tuple[float, ...]]] = {
    NOT_SENT: (0.05, 0.1, 0.2, 0.4, 0.8),
    HTTPStatus.NOT_FOUND: (0.005, 0.02, 0.08),
    HTTPStatus.UNAUTHORIZED: (0.0,),
}
# How long a cancelled unit of work may still take before its connection is closed: most have ended by then,
# so that it is known what became of them.
GRACE_S: Final = 0.25
# A request that a server had not begun to read when it was abandoned is read, found abandoned and dropped
# within a millisecond; between two probes that far apart it has been.
_SETTLE_S: Final = 0.1


class Access(Protocol):
    """The right to one database."""

    async def token(self, renew: bool = False) -> str:
        """A token that holds now; with `renew` another one than before. Raises: `StorageError`."""
        ...


class HranaDatabase:
    """See `engine.Database`; `host` is the name that the server knows the database by."""

    def __init__(self, server: Server, host: str, access: Access, grace_s: float = GRACE_S) -> None:
        self.host = host
        self.access = access
        self._server = server
        self._grace_s = grace_s
        self._lock = asyncio.Lock()
        self._closed = False
        self._unsettled = False  # something that was abandoned may still run
        self.replication_index: str | None = None

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """Run the statements in one round trip; see `engine.Database.batch`.

        Raises: `OutcomeUnknown` besides.
        """
        async with self._lock:
            return await self._batch(statements, tx)

    async def snapshot(self, path: Path) -> None:
        """See `engine.Database.snapshot`; read in pages, while the lock keeps it as it is."""
        async with self._lock:
            await write_snapshot(path, self._batch)

    async def reclaim(self) -> None:
        """Nothing: neither sqld nor Turso lets a client do that; free pages are used again."""

    async def close(self) -> None:
        """See `engine.Database.close`."""
        async with self._lock:
            if not self._closed and self._unsettled:
                with suppress(StorageError):  # whoever opens it next cannot know of it
                    await self._settle()
            self._closed = True

    async def _batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        if self._closed:
            raise StorageError("closed")
        if not statements:
            return []
        if self._unsettled:
            await self._settle()
        body = pipeline.request(statements, tx, self.replication_index)
        answer = pipeline.Answer(await self._waited(body), statements, tx)
        self.replication_index = answer.replication_index or self.replication_index
        return answer.results()

    async def _waited(self, body: bytes) -> bytes:
        """Send it and wait for the answer, cancelled a little longer still."""
        sending = asyncio.ensure_future(self._send(body))
        try:
            return await asyncio.shield(sending)
        except asyncio.CancelledError:
            self._unsettled = True
            await self._abandon(sending)
            raise
        except OutcomeUnknown:
            self._unsettled = True
            raise

    async def _abandon(self, sending: asyncio.Future[bytes]) -> None:
        try:
            await asyncio.wait({sending}, timeout=self._grace_s)
        finally:
            if sending.done():
                self._unsettled = isinstance(sending.exception(), OutcomeUnknown)
            else:
                sending.cancel()

    async def _settle(self) -> None:
        """Wait until nothing that was abandoned runs any more. Raises: `DatabaseBusy`, `StorageError`."""
        try:
            pipeline.probed(await self._send(pipeline.PROBE))
            await asyncio.sleep(_SETTLE_S)
            pipeline.probed(await self._send(pipeline.PROBE))
        except OutcomeUnknown:
            failure = DatabaseBusy("UNSETTLED")  # nothing of what is asked now was sent
        else:
            self._unsettled = False
            return
        raise failure

    async def _send(self, body: bytes) -> bytes:
        """Send it, and again only where it surely did not run."""
        token = await self.access.token()
        pauses = {why: iter(each) for why, each in _PAUSES_S.items()}
        while True:
            said = await self._server.post(self.host, token, body)
            if said.status == HTTPStatus.OK:
                return said.body
            pause = next(pauses.get(said.status, iter(())), None)
            if pause is None:
                break
            await asyncio.sleep(pause)
            if said.status == HTTPStatus.UNAUTHORIZED:
                token = await self.access.token(renew=True)
        raise DatabaseBusy("UNREACHABLE") if said.status == NOT_SENT else status_error(said.status)
