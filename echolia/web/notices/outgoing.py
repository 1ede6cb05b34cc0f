"""What a process has still to tell the others: bounded, newest heads only, and never lost silently."""

from __future__ import annotations

import asyncio
from typing import Final

from echolia.web.notices.port import MISSED, HeadMoved, Notice

MOST: Final = 10_000


class Outgoing:
    """Notices that wait to be delivered."""

    def __init__(self) -> None:
        self._waiting: dict[object, Notice] = {}
        self._news = asyncio.Event()

    def add(self, notice: Notice) -> None:
        """One more; a head takes the place of an older one of its account."""
        if len(self._waiting) >= MOST:
            self.lost()
        self._waiting[notice.account if isinstance(notice, HeadMoved) else notice] = notice
        self._news.set()

    def lost(self) -> None:
        """What was taken, or would have to wait with too many others, will not arrive: say just that."""
        self._waiting = {MISSED: MISSED}
        self._news.set()

    def rest(self) -> list[Notice]:
        """Everything that waits, which waits no longer."""
        waiting, self._waiting = self._waiting, {}
        self._news.clear()
        return list(waiting.values())

    async def take(self) -> list[Notice]:
        """The same, as soon as there is anything."""
        await self._news.wait()
        return self.rest()
