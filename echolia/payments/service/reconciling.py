"""Jobs that keep facts true where a notification was lost, and tell stores what was delivered.

Each may be done twice, and none takes access away: while a store does not answer, what is known stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from echolia.core.errors import EcholiaError
from echolia.core.purchases import AppleTransaction, GoogleSnapshot
from echolia.payments.service.receiving import Receiving
from echolia.payments.service.walking import PAGE, Walks
from echolia.payments.store import inbox, reading, transfers
from echolia.payments.store.inbox import KEPT_MS
from echolia.payments.store.learning import ACKNOWLEDGE, FETCH, LINK, unacknowledged
from echolia.payments.store.reading import Known
from echolia.payments.store.sealing import Keys
from echolia.payments.stores.port import StoreName
from echolia.storage.engine import Database
from echolia.storage.jobs import Handler, asked

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Reconcilers:
    """The handlers of jobs about purchases."""

    db: Database
    keys: Keys = field(repr=False)
    receiving: Receiving
    clock_ms: Callable[[], int]

    def handlers(self) -> Mapping[str, Handler]:
        """By the kind of job."""
        names = [name.encode() for name in self.receiving.stores]
        return {
            FETCH: Handler(self.fetch),
            ACKNOWLEDGE: Handler(self.acknowledge),
            LINK: Handler(self.link),
            PAGE: Handler(self._walks.page),
            "missed": Handler(self.missed, 30 * MINUTE_MS, names),
            "voided": Handler(self.voided, DAY_MS, names),
            "ending": Handler(self.ending, HOUR_MS),
            "unacknowledged": Handler(self.unacknowledged, 10 * MINUTE_MS),
        }

    async def fetch(self, purchase: bytes) -> None:
        """Ask the store what a purchase is now. Raises: `store_unavailable`, `StorageError`."""
        if (known := await self._known(purchase)) is not None:
            store = self.receiving.store(known.store)
            await self.receiving.learn(store.name, await store.fetch(known.key))

    async def acknowledge(self, purchase: bytes) -> None:
        """Tell the store that it was delivered: all that this erases there is stored by now."""
        if (known := await self._known(purchase)) is None:
            return
        facts = await reading.facts_of(self.db, self.keys, purchase)
        waiting = [fact for fact in facts if isinstance(fact, GoogleSnapshot) and unacknowledged(fact)]
        products = [item.product_id for fact in waiting for item in fact.line_items]
        if products:
            await self.receiving.store(known.store).acknowledge(known.key, products[0])
            await self.db.batch([asked(FETCH, purchase, self.clock_ms())])

    async def link(self, purchase: bytes) -> None:
        """Have the store say with a purchase whose it is, unless it does."""
        known = await self._known(purchase)
        if known is None or known.account is None:
            return
        name = self.keys.account_token(known.store, known.account)
        facts = await reading.facts_of(self.db, self.keys, purchase)
        said = [fact.app_account_token for fact in facts if isinstance(fact, AppleTransaction)]
        if said and name not in said:
            await self.receiving.store(known.store).link(known.key, name)

    async def missed(self, store: bytes) -> None:
        """Take what a store could not deliver."""
        await self._walks.begin("missed", self._name(store))

    async def voided(self, store: bytes) -> None:
        """Take what a store says it took back."""
        await self._walks.begin("voided", self._name(store))

    async def ending(self, _subject: bytes) -> None:
        """Have fetched whatever ends, or has just ended: a renewal may not have reached us."""
        now_ms, after = self.clock_ms(), b""
        while page := await reading.ending(self.db, now_ms - DAY_MS, now_ms + DAY_MS, after, _PAGE):
            await self._ask(FETCH, page)
            after = page[-1]

    async def unacknowledged(self, _subject: bytes) -> None:
        """Have acknowledged whatever is not."""
        after = b""
        while page := await reading.unacknowledged(self.db, after, _PAGE):
            await self._ask(ACKNOWLEDGE, page)
            after = page[-1]

    async def sweep(self) -> None:
        """Forget what is old."""
        now_ms = self.clock_ms()
        await inbox.sweep(self.db, now_ms)
        await transfers.sweep(self.db, now_ms)
        await reading.forget_nobodys(self.db, now_ms - KEPT_MS)

    async def _ask(self, kind: str, purchases: Sequence[bytes]) -> None:
        now_ms = self.clock_ms()
        await self.db.batch([asked(kind, purchase, now_ms) for purchase in purchases])

    @property
    def _walks(self) -> Walks:
        return Walks(self.db, self.keys, self.receiving, self.clock_ms)

    async def _known(self, purchase: bytes) -> Known | None:
        known = await reading.known(self.db, self.keys, purchase)
        if known is not None and known.store not in self.receiving.stores:
            # Its settings may come back: until then it waits.
            raise EcholiaError("store_unavailable")
        return known

    def _name(self, store: bytes) -> StoreName:
        return self.receiving.store(store.decode()).name
