"""Keeps a medium going: delivers, listens, and comes back by itself when the medium was away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, Protocol

import structlog

from echolia.web.notices.outgoing import Outgoing
from echolia.web.notices.port import Hear, Notice, Tell

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
# A process that ends tells what is left to tell, but does not wait long for it.
LAST_S: Final = 1.0


class Away(Exception):
    """The medium cannot be reached just now."""


class Medium(Protocol):
    """What carries notices from process to process."""

    async def deliver(self, notices: Sequence[Notice]) -> None:
        """Hand them over for all others; raises `Away`, and then none or some of them arrive."""
        ...

    async def listen(self, hear: Hear) -> None:
        """Hear the others until it breaks, and hear `Missed` for what was told while nobody listened here.

        Raises: `Away`.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@asynccontextmanager
async def carried(medium: Medium, hear: Hear) -> AsyncIterator[Tell]:
    """See `Notices.joined`, over a medium."""
    outgoing = Outgoing()
    works = [
        asyncio.create_task(_persist(lambda: medium.listen(hear))),
        asyncio.create_task(_persist(lambda: _deliver(medium, outgoing))),
    ]
    try:
        yield outgoing.add
    finally:
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        if left := outgoing.rest():
            with suppress(Away, TimeoutError):
                async with asyncio.timeout(LAST_S):
                    await medium.deliver(left)
        await medium.close()


async def _deliver(medium: Medium, outgoing: Outgoing) -> None:
    notices = await outgoing.take()
    try:
        await medium.deliver(notices)
    except BaseException:
        outgoing.lost()
        raise


async def _persist(work: Callable[[], Awaitable[None]]) -> None:
    """Do the work again and again, waiting longer each time that the medium is away."""
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            await work()
            pause_s = FIRST_PAUSE_S
        except Away:
            if pause_s == FIRST_PAUSE_S:
                structlog.get_logger().warning("notices_away")
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
