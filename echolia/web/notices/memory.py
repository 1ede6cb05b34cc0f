"""Notices within one process: a server that is alone has nobody to tell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from echolia.web.notices.port import Hear, Notice, Tell


class MemoryNotices:
    """Between those who joined this object."""

    def __init__(self) -> None:
        self._joined: list[Hear] = []

    @asynccontextmanager
    async def joined(self, hear: Hear) -> AsyncIterator[Tell]:
        """See `Notices.joined`; the others hear at once."""

        def tell(notice: Notice) -> None:
            for other in tuple(self._joined):
                if other is not hear:
                    other(notice)

        self._joined.append(hear)
        try:
            yield tell
        finally:
            self._joined.remove(hear)
