"""An `Operating` of a server that runs: asks the process that has the account, or all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from echolia.core.errors import EcholiaError
from echolia.storage.operating.service import Value
from echolia.workers.channel import Gone, Peer
from echolia.workers.sockets import connect, names_of


@asynccontextmanager
async def asking(folder: Path) -> AsyncIterator[Running | None]:
    """The server whose processes have their sockets in the folder; None where there is none."""
    peers: dict[str, Peer] = {}
    for name in names_of(folder):
        try:
            peers[name] = await connect(folder, name)
        except OSError:
            continue  # left by one that was killed
    try:
        yield Running(peers) if peers else None
    finally:
        for peer in peers.values():
            await peer.close()


class Running:
    """See `Operating`; `peers` are the server's processes, by their names."""

    def __init__(self, peers: dict[str, Peer]) -> None:
        self._peers = peers

    async def list(
        self, after: str | None, most: int, home: str | None, failed: bool, blocked: bool
    ) -> Value:
        """See `Operating.list`."""
        return await _ask(self._any, "list", after, most, home, failed, blocked)

    async def show(self, user: str) -> Value:
        """See `Operating.show`."""
        return await _ask(await self._owner(user), "show", user)

    async def block(self, user: str, blocked: bool) -> Value:
        """See `Operating.block`."""
        return await _ask(await self._owner(user), "block", user, blocked)

    def move(self, user: str, to: str) -> AsyncIterator[Value]:
        """See `Operating.move`."""
        return self._watched("move", user, to)

    def snapshot(self, user: str) -> AsyncIterator[Value]:
        """See `Operating.snapshot`."""
        return self._watched("snapshot", user)

    def export(self, user: str, file: str) -> AsyncIterator[Value]:
        """See `Operating.export`."""
        return self._watched("export", user, file)

    def restore(self, user: str, which: str, is_file: bool, replace: bool) -> AsyncIterator[Value]:
        """See `Operating.restore`."""
        return self._watched("restore", user, which, is_file, replace)

    async def check(self, user: str | None) -> AsyncIterator[Value]:
        """See `Operating.check`; each process looks through those that are its own."""
        checked, findings = 0, []
        for peer in [await self._owner(user)] if user is not None else list(self._peers.values()):
            async for event in _watch(peer, "check", user):
                if "result" not in event:
                    yield event
                    continue
                checked += event["result"]["checked"]
                findings += [one for one in event["result"]["findings"] if one not in findings]
        yield {"result": {"checked": checked, "findings": findings}}

    async def migration(self) -> Value:
        """See `Operating.migration`."""
        return await _ask(self._any, "migration")

    async def pause_migration(self, paused: bool) -> Value:
        """See `Operating.pause_migration`; all of them hear of it."""
        return [await _ask(peer, "pause_migration", paused) for peer in self._peers.values()][-1]

    async def retry_migration(self) -> Value:
        """See `Operating.retry_migration`; all of them try."""
        return [await _ask(peer, "retry_migration") for peer in self._peers.values()][-1]

    async def migrate(self, user: str | None) -> AsyncIterator[Value]:
        """See `Operating.migrate`; each process migrates those that are its own."""
        result: Value = {}
        for peer in [await self._owner(user)] if user is not None else list(self._peers.values()):
            async for event in _watch(peer, "migrate", user):
                if "result" in event:
                    result = event["result"]
                else:
                    yield event
        yield {"result": result}

    @property
    def _any(self) -> Peer:
        return next(iter(self._peers.values()))

    async def _owner(self, user: str) -> Peer:
        try:
            name = await self._any.ask("operator owner", user)
        except Gone:
            raise EcholiaError("unavailable", "the server ended") from None
        peer = self._peers.get(name)
        if peer is None:
            raise EcholiaError("unavailable", "the process that has it has just begun; ask again")
        return peer

    async def _watched(self, what: str, user: str, *words: Any) -> AsyncIterator[Value]:
        async for event in _watch(await self._owner(user), what, user, *words):
            yield event


async def _ask(peer: Peer, what: str, *words: Any) -> Value:
    try:
        answer: Value = await peer.ask("operator ask", what, list(words))
    except Gone:
        raise EcholiaError("unavailable", "the server ended") from None
    return answer


async def _watch(peer: Peer, what: str, *words: Any) -> AsyncIterator[Value]:
    try:
        number = await peer.ask("operator begin", what, list(words))
        while True:
            for event in await peer.ask("operator watch", number):
                if "failed" in event:
                    raise EcholiaError(*event["failed"])
                yield event
                if "result" in event:
                    return
    except Gone:
        raise EcholiaError(
            "unavailable", "the server ended; what was begun goes on when it is asked again"
        ) from None
