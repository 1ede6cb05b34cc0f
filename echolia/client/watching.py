"""Watching: follow the server's head events and this device's own edits, and sync after each."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from echolia.client import resets
from echolia.client.replica import Replica
from echolia.client.reports import Changed
from echolia.client.session import Refused, Session
from echolia.client.syncing import Syncing
from echolia.client.transport import Request
from echolia.core.errors import EcholiaError

_FIRST_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 60.0
_EVENT_ID: Final = re.compile(r"id: ([0-9]{1,16}\.[0-9]{1,16})")
_LATER: Final = {"server_unreachable", "unavailable", "rate_limited", "storage_full"}


async def watch(replica: Replica, session: Session, syncing: Syncing) -> AsyncIterator[Changed]:
    """See `Device.watch`. Lost events are harmless: a new connection begins with one, unless its head is the
    one of the last event.
    """
    changes: asyncio.Queue[Changed] = asyncio.Queue()
    moved = asyncio.Event()
    moved.set()

    def on_change(changed: Changed) -> None:
        changes.put_nowait(changed)
        moved.set()

    stop = replica.listen(on_change)
    listening = _Listening(replica, session, moved)
    works = [
        asyncio.create_task(_persist(replica, work))
        for work in (listening.connect, lambda: _follow(syncing, moved))
    ]
    waiting: asyncio.Task[Changed] | None = None
    try:
        while True:
            waiting = asyncio.create_task(changes.get())
            await asyncio.wait([waiting, *works], return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                yield waiting.result()
            else:
                waiting.cancel()
                for work in works:
                    if work.done():
                        work.result()  # they end only by an error
    finally:
        stop()
        if waiting is not None:
            waiting.cancel()
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)


async def _persist(replica: Replica, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work again and again while the server is away, waiting longer each time."""
    environment, wait_s = replica.environment, _FIRST_WAIT_S
    while True:
        try:
            await work()
            wait_s = _FIRST_WAIT_S
        except EcholiaError as error:
            if error.code not in _LATER:
                named = await replica.run(resets.named, replica.database, error)
                if named is error:
                    raise
                raise named from error
            asked_s = error.retry_after_s if isinstance(error, Refused) else 0.0
            await environment.sleep(max(asked_s, wait_s * (0.5 + environment.jitter())))
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)


class _Listening:
    """Connections to the server's head events, each going on from the last event of the one before."""

    def __init__(self, replica: Replica, session: Session, moved: asyncio.Event) -> None:
        self._replica = replica
        self._session = session
        self._moved = moved
        self._last_event_id = ""

    async def connect(self) -> None:
        """One connection's events; returns when the server ends it, as it does when a token expires."""
        request = Request(
            "GET",
            "/sync/live",
            accept="text/event-stream",
            authorization=await self._session.authorization(),
            last_event_id=self._last_event_id,
        )
        try:
            async for line in self._session.transport.lines(request):
                if line.startswith("event: head"):
                    self._moved.set()
                elif found := _EVENT_ID.fullmatch(line):
                    self._last_event_id = found[1]
        except EcholiaError:
            # A sync finds out what is wrong, a token that has ended for one, and fetches what is new.
            self._moved.set()
            raise
        await self._replica.environment.sleep(_FIRST_WAIT_S)


async def _follow(syncing: Syncing, moved: asyncio.Event) -> None:
    await moved.wait()
    moved.clear()
    try:
        report = await syncing.sync()
    except EcholiaError:
        moved.set()  # what it was about still waits, and there may be no other event for long
        raise
    if report.held is not None:
        await _until(moved, syncing.environment.sleep(max(_FIRST_WAIT_S, report.held.retry_after_s)))


async def _until(moved: asyncio.Event, waiting: Awaitable[None]) -> None:
    """Wait for either; the end of the waiting is a reason to sync as well."""
    works = {asyncio.ensure_future(moved.wait()), asyncio.ensure_future(waiting)}
    try:
        await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        moved.set()
    finally:
        for work in works:
            work.cancel()
