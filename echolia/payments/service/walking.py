"""Going through what stores list, page by page: each page is a job, so a walk goes on where it ended.

    begin ──▶ page 1 ──▶ page 2 ──▶ … ──▶ the last

A page's job takes what is there and then asks for the next one's. Whatever ends it before, the time that a
job may take or a crash, it is that page which is asked for again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from echolia.core.errors import EcholiaError
from echolia.payments.service.receiving import Receiving
from echolia.payments.store.sealing import Keys
from echolia.payments.stores.port import StoreName
from echolia.storage.engine import Database
from echolia.storage.jobs import asked, asked_where

Listed = Literal["missed", "voided"]

PAGE: Final = "page"
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
# How far back a store is asked for what it could not deliver, and for what it took back.
MISSED_MS: Final = 7 * _DAY_MS
VOIDED_MS: Final = 30 * _DAY_MS
# Page names hold for a while: a walk that fails so long after it began ends, and the next one begins anew.
STALE_MS: Final = 2 * _HOUR_MS
_MOST_PAGES: Final = 10_000
_NONE_UNDER_WAY: Final = (
    "NOT EXISTS (SELECT 1 FROM jobs WHERE kind = ?1 AND dead = 0 AND subject BETWEEN ?4 AND ?5)"
)


class _Page(NamedTuple):
    """What a walk is through, when it began, the name of the page that is next, and how many were before."""

    listed: Listed
    store: StoreName
    began_ms: int
    name: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Walks:
    """Walks through the lists of the stores that `receiving` takes."""

    db: Database
    keys: Keys = field(repr=False)
    receiving: Receiving
    clock_ms: Callable[[], int]

    async def begin(self, listed: Listed, store: StoreName) -> None:
        """Begin one, unless one is under way. Raises: `StorageError`."""
        now_ms, about = self.clock_ms(), _about(listed, store)
        first = self._subject(_Page(listed, store, now_ms))
        after = about[:-1] + b"!"  # behind all that begin with it and a blank
        await self.db.batch([asked_where(PAGE, first, now_ms, _NONE_UNDER_WAY, about, after)])

    async def page(self, subject: bytes) -> None:
        """Take one page, and ask for the next. Raises: `store_unavailable`, `StorageError`."""
        page, now_ms = self._page(subject), self.clock_ms()
        try:
            name = await self._taken(page)
        except EcholiaError as error:
            if error.code == "store_unavailable" and now_ms - page.began_ms > STALE_MS:
                return
            raise
        if name and page.number < _MOST_PAGES:
            following = page._replace(name=name, number=page.number + 1)
            await self.db.batch([asked(PAGE, self._subject(following), now_ms)])

    async def _taken(self, page: _Page) -> str:
        """Take what is on a page; returns the next one's name, or ""."""
        store, until_ms = self.receiving.store(page.store), page.began_ms
        if page.listed == "missed":
            history = await store.missed(until_ms - MISSED_MS, until_ms, page.name)
            for said in history.notifications:
                await self.receiving.take(page.store, said)
            return history.next_page
        found = await store.voided(until_ms - VOIDED_MS, until_ms, page.name)
        await self.receiving.learn(page.store, found.facts)
        return found.next_page

    def _subject(self, page: _Page) -> bytes:
        """The same bytes for the same page, so that it is one job however often it is asked for."""
        about = _about(page.listed, page.store)
        return about + self.keys.seal_alike([page.began_ms, page.name, page.number], about)

    def _page(self, subject: bytes) -> _Page:
        named, store, sealed = subject.split(b" ", 2)
        listed: Listed = "voided" if named == b"voided" else "missed"
        name = self.receiving.store(store.decode()).name
        return _Page(listed, name, *self.keys.open(sealed, _about(listed, name)))


def _about(listed: Listed, store: StoreName) -> bytes:
    return f"{listed} {store} ".encode()
