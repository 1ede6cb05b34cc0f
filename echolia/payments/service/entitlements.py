"""What an account may have for what it paid: from memory for a moment, from its row, or projected anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cachetools import LRUCache

from echolia.core.purchases import Environment
from echolia.payments.catalogue import Catalogue, Tier
from echolia.payments.service.projecting import entitled_by, projected
from echolia.payments.store import entitled as store
from echolia.payments.store import reading
from echolia.payments.store.entitled import NEVER_MS, Entitled
from echolia.payments.store.sealing import Keys
from echolia.settings import Settings
from echolia.storage.engine import Database
from echolia.web.context import ModelQuota, Quota

# So long this process may not know what another one learnt.
REMEMBERED_MS: Final = 10_000
_MOST_REMEMBERED: Final = 20_000


def environments_of(settings: Settings) -> frozenset[Environment]:
    """The environments whose purchases count, as the settings say."""
    return frozenset(["production", "sandbox"] if settings.sandbox_store else ["production"])


class _Remembered(NamedTuple):
    entitled: Entitled
    read_ms: int


@dataclass(slots=True)
class PaidTiers:
    """Implements `web.context.Entitlements` and its like of models, embeddings and devices, by what was paid.

    Purchases of the environments that are `counting` give access.
    """

    db: Database
    keys: Keys = field(repr=False)
    catalogue: Catalogue
    counting: frozenset[Environment]
    clock_ms: Callable[[], int]
    _remembered: LRUCache[bytes, _Remembered] = field(default_factory=lambda: LRUCache(_MOST_REMEMBERED))

    async def quota(self, account: bytes) -> Quota:
        """See `web.context.Entitlements.quota`."""
        return (await self.tier(account)).quota

    async def models(self, account: bytes) -> ModelQuota:
        """See `web.context.ModelEntitlements.models`."""
        return (await self.tier(account)).models

    async def embeddings(self, account: bytes) -> ModelQuota:
        """See `web.context.EmbeddingEntitlements.embeddings`."""
        return (await self.tier(account)).embeddings

    async def devices(self, account: bytes) -> int:
        """See `web.context.DeviceEntitlements.devices`."""
        return (await self.tier(account)).devices

    async def tier(self, account: bytes) -> Tier:
        """The account's tier now. Raises: `StorageError`."""
        now_ms = self.clock_ms()
        known = self._remembered.get(account)
        if known is None or not self._still(known, now_ms):
            known = _Remembered(await self._read(account, now_ms), now_ms)
            self._remembered[account] = known
        return self.catalogue.tier(known.entitled.tier)

    def forget(self, account: bytes) -> None:
        """Something changed: look again."""
        self._remembered.pop(account, None)

    def remembers(self, account: bytes) -> bool:
        """Whether it is in memory."""
        return account in self._remembered

    @property
    def rules(self) -> str:
        """By which rows were projected, as far as settings decide."""
        return " ".join((self.catalogue.digest, *sorted(self.counting)))

    @staticmethod
    def _still(known: _Remembered, now_ms: int) -> bool:
        return 0 <= now_ms - known.read_ms < REMEMBERED_MS and now_ms < known.entitled.until_ms

    async def _read(self, account: bytes, now_ms: int) -> Entitled:
        row = await store.read(self.db, account)
        if row is None:
            return Entitled(self.catalogue.free.name, NEVER_MS)
        if row.holds(self.rules, now_ms):
            return row.entitled
        revision, held = await reading.held(self.db, self.keys, account)
        entitled = entitled_by(projected(held, now_ms, self.catalogue, self.counting), self.catalogue)
        await store.write(self.db, account, revision, self.rules, entitled)
        return entitled
