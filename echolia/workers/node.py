"""One server process among several: its lock, its sockets, what it owns, and how it reaches the others."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp

from echolia.core.errors import EcholiaError
from echolia.settings import Settings
from echolia.storage.databases import UserDatabases
from echolia.storage.engine import Database
from echolia.storage.operating.listing import account_of
from echolia.storage.operating.service import Operator
from echolia.storage.secret_files import load_key
from echolia.workers.census import Locks, host_of, since_boot_ms
from echolia.workers.channel import Handler, Hearing, Peer
from echolia.workers.desk import Desk
from echolia.workers.handing_over import AllDatabases, HandingOver, Ours, answering
from echolia.workers.peers import Peers
from echolia.workers.placement import Placement, pulse_of
from echolia.workers.polling import Poll
from echolia.workers.secured import CLUSTER_KEY, Secured
from echolia.workers.sockets import connect, listen
from echolia.workers.store import Worker

WORKER_BYTES: Final = 16
Gained = Callable[[Collection[int]], Awaitable[None]]


def folder_of(data: Path) -> Path:
    """Where the processes of a data folder have their locks and sockets."""
    return data / "workers"


class Node:
    """A process of the settings' data folder, which other machines reach at their address if there is one.

    `clock_ms` is as `Placement`'s.
    """

    def __init__(
        self, settings: Settings, directory: Database, clock_ms: Callable[[], int] = since_boot_ms
    ) -> None:
        self._folder = folder_of(settings.data)
        pulse, host = pulse_of(settings.takeover_seconds), host_of(settings.data)
        self._locks = Locks(self._folder, host, pulse)
        self._secured: Secured | None = None
        if settings.address:
            self._secured = Secured(load_key(settings.data / CLUSTER_KEY), self._folder)
        me = Worker(secrets.token_bytes(WORKER_BYTES), host, settings.address)
        self._gained: Gained | None = None
        self._databases: UserDatabases | None = None
        self._peers = Peers(self._connect)
        self.placement = Placement(
            directory,
            me,
            self._locks,
            clock_ms,
            settings.workers,
            self._on_gained,
            self._on_released,
            self._peers.keep,
        )
        self.owners = HandingOver(self.placement, self._peers)
        self.metrics = Poll("metrics", self.placement.others, self._peers)

    def all_databases(self, databases: UserDatabases) -> AllDatabases:
        """The databases of all accounts, where `databases` are those of ours."""
        self._databases = databases
        return AllDatabases(databases, self.placement, self.owners)

    async def tell_grown(self, account: bytes) -> None:
        """Have the account's owner forget what it has cached of it. Raises: `storage_elsewhere`."""
        with suppress(Ours):  # who has just got it has cached nothing
            await self.owners.ask(account, "account grown", repeatable=True)

    @asynccontextmanager
    async def joined(
        self,
        gate: ASGIApp,
        gained: Gained,
        forget: Callable[[bytes], None],
        operator: Operator,
        metrics: Handler,
    ) -> AsyncIterator[None]:
        """Own a share of the accounts while the block lasts.

        `gained` prepares new ones for being served, `forget` drops what is cached of an account, `operator`
        does what is asked by whoever runs the server, `metrics` tells the others of ours.
        """
        assert self._databases is not None
        self._gained = gained
        me = self.placement.me.id
        lock = self._locks.hold(me)
        desk = Desk(operator, self._owner_of(operator))
        verbs = answering(self.placement, self._databases, gate, forget)
        hearing = Hearing({**verbs, **desk.verbs(), "metrics": metrics})
        server = await listen(self._folder, _socket(me), hearing)
        try:
            async with self._reached(verbs):
                await self.placement.join()
                sharing = asyncio.create_task(self.placement.run())
                try:
                    yield
                finally:
                    sharing.cancel()
                    await asyncio.gather(sharing, return_exceptions=True)
                    with suppress(EcholiaError):  # where the directory is gone, others see that we are
                        await self.placement.end()
        finally:
            server.close()
            await desk.close()
            await hearing.close()
            await self._peers.close()
            await self.metrics.close()
            (self._folder / _socket(me)).unlink(missing_ok=True)
            lock.release()

    @asynccontextmanager
    async def _reached(self, verbs: Mapping[str, Handler]) -> AsyncIterator[None]:
        """Other machines may ask this meanwhile, and nothing that is for whoever runs the server."""
        if self._secured is None:
            yield
            return
        hearing, me = Hearing(verbs), self.placement.me
        server, address = await self._secured.listen(me.address, hearing)
        self.placement.me = me._replace(address=address)
        try:
            yield
        finally:
            server.close()
            await hearing.close()

    def _owner_of(self, operator: Operator) -> Callable[[str], Awaitable[str]]:
        async def owner(user: str) -> str:
            account = await account_of(operator.directory, user)
            found = await self.placement.owner(account)
            if found.host != self.placement.me.host:
                raise EcholiaError(
                    "unavailable", f"run it on the machine at {found.address}: it has that now"
                )
            return _socket(found.id)

        return owner

    async def _connect(self, worker: Worker) -> Peer:
        if worker.host == self.placement.me.host:
            return await connect(self._folder, _socket(worker.id))
        if self._secured is None or not worker.address:
            raise ConnectionRefusedError
        return await self._secured.connect(worker.address)

    async def _on_gained(self, slots: Collection[int]) -> None:
        assert self._gained is not None
        await self._gained(slots)

    async def _on_released(self, slot: int) -> None:
        assert self._databases is not None
        await self._databases.release(lambda account: account[0] == slot)


@asynccontextmanager
async def asked_alone(data: Path, operator: Operator) -> AsyncIterator[None]:
    """What operators ask is done while the block lasts, where there is one process."""
    name = _socket(secrets.token_bytes(WORKER_BYTES))

    async def owner(user: str) -> str:
        await account_of(operator.directory, user)
        return name

    desk = Desk(operator, owner)
    hearing = Hearing(desk.verbs())
    server = await listen(folder_of(data), name, hearing)
    try:
        yield
    finally:
        server.close()
        await desk.close()
        await hearing.close()
        (folder_of(data) / name).unlink(missing_ok=True)


def _socket(worker: bytes) -> str:
    return f"{worker.hex()}.sock"
