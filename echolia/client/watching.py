"""Watching: follow the server's head events and this device's own edits, and sync after each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from echolia.client import resets
from echolia.client.replica import Replica
from echolia.client.reports import Changed
from echolia.client.session import Session
from echolia.client.syncing import Syncing
from echolia.client.transport import Request
from echolia.core.errors import EcholiaError

_FIRST_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 60.0
_LATER: Final = {"server_unreachable", "unavailable", "rate_limited"}


async def watch(replica: Replica, session: Session, syncing: Syncing) -> AsyncIterator[Changed]:
    """See `Device.watch`. Lost events are harmless: each new connection begins with one."""
    changes: asyncio.Queue[Changed] = asyncio.Queue()
    moved = asyncio.Event()
    moved.set()

    def on_change(changed: Changed) -> None:
        changes.put_nowait(changed)
        moved.set()

    stop = replica.listen(on_change)
    works = [
        asyncio.create_task(_persist(replica, work))
        for work in (lambda: _listen(replica, session, moved), lambda: _follow(syncing, moved))
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
            await environment.sleep(wait_s * (0.5 + environment.jitter()))
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)


async def _listen(replica: Replica, session: Session, moved: asyncio.Event) -> None:
    """One connection's events; returns when the server ends it, as it does when a token expires."""
    authorization = await session.authorization()
    request = Request("GET", "/sync/live", accept="text/event-stream", authorization=authorization)
    try:
        async for line in session.transport.lines(request):
            if line.startswith("event: head"):
                moved.set()
    except EcholiaError:
        moved.set()  # a sync finds out what is wrong, a token that has ended for one, and fetches what is new
        raise
    await replica.environment.sleep(_FIRST_WAIT_S)


async def _follow(syncing: Syncing, moved: asyncio.Event) -> None:
    await moved.wait()
    moved.clear()
    try:
        await syncing.sync()
    except EcholiaError:
        moved.set()  # what it was about still waits, and there may be no other event for long
        raise
