"""What comes from stores: notifications, and what they are asked for, ends as facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from echolia.core.errors import EcholiaError
from echolia.core.purchases import Fact
from echolia.payments.store import inbox, learning
from echolia.payments.store.sealing import Keys
from echolia.payments.stores.port import Notification, StoreName, StorePort
from echolia.storage.engine import Database


@dataclass(frozen=True, slots=True)
class Receiving:
    """Takes what stores say; `changed` is told whose facts were written, `counts` is how often what came."""

    db: Database
    keys: Keys = field(repr=False)
    stores: Mapping[StoreName, StorePort]
    changed: Callable[[bytes], None]
    clock_ms: Callable[[], int]
    counts: Counter[tuple[StoreName, str]] = field(default_factory=Counter)

    async def webhook(self, name: StoreName, headers: Mapping[bytes, bytes], body: bytes) -> None:
        """Take a notification. Raises: `store_unknown`, `notification_invalid`, `store_unavailable`,
        `StorageError`."""
        store = self.store(name)
        try:
            said = await store.verify_notification(headers, body)
        except EcholiaError as error:
            self.counts[name, "refused" if error.code == "notification_invalid" else "deferred"] += 1
            raise
        await self.take(name, said)

    async def take(self, name: StoreName, said: Notification) -> None:
        """Store a notification that was verified, once. Raises: `StorageError`."""
        kept = await inbox.receive(self.db, self.keys, name, said, self.clock_ms())
        outcome = "unreadable" if said.unreadable else "taken"
        self.counts[name, outcome if kept.new else "repeated"] += 1
        self._tell(kept.owners)

    async def learn(self, name: StoreName, facts: Iterable[Fact]) -> None:
        """Store facts that no notification brought. Raises: `StorageError`."""
        facts = list(facts)
        if facts:
            self._tell(await learning.learn(self.db, self.keys, name, facts, self.clock_ms()))

    def store(self, name: str) -> StorePort:
        """The store of a name. Raises: `store_unknown`."""
        for known, store in self.stores.items():
            if known == name:
                return store
        raise EcholiaError("store_unknown")

    def _tell(self, owners: Iterable[bytes]) -> None:
        for owner in owners:
            self.changed(owner)
