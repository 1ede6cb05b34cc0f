"""The other server processes, each reached over one connection that is made when it is first needed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from echolia.workers.channel import Gone, Peer
from echolia.workers.store import Worker


class Peers:
    """`connect` reaches a process; it raises OSError where there is nobody."""

    def __init__(self, connect: Callable[[Worker], Awaitable[Peer]]) -> None:
        self._connect = connect
        self._peers: dict[bytes, Peer] = {}
        self._connecting: dict[bytes, asyncio.Task[Peer]] = {}

    async def to(self, worker: Worker) -> Peer:
        """A connection to that process. Raises: `Gone`."""
        peer = self._peers.get(worker.id)
        if peer is not None and not peer.gone:
            return peer
        task = self._connecting.get(worker.id)
        if task is None:
            task = asyncio.create_task(self._reach(worker))
            self._connecting[worker.id] = task
            task.add_done_callback(lambda _: self._connecting.pop(worker.id))
        try:
            return await asyncio.shield(task)  # others wait for it too
        except OSError:
            self._peers.pop(worker.id, None)
            raise Gone(sent=False) from None

    async def _reach(self, worker: Worker) -> Peer:
        peer = await self._connect(worker)
        self._peers[worker.id] = peer
        return peer

    def keep(self, living: Collection[bytes]) -> None:
        """Hang up on all others: a machine that is gone may never say so, and those who ask it would wait."""
        for worker in self._peers.keys() - set(living):
            self._peers.pop(worker).hang_up()

    async def close(self) -> None:
        """Hang up on all."""
        for task in tuple(self._connecting.values()):
            task.cancel()
        for peer in self._peers.values():
            await peer.close()
        self._peers.clear()
