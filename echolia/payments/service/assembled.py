"""The feature's services, put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from echolia.payments.service.entitlements import PaidTiers
from echolia.payments.service.purchases import Purchases
from echolia.payments.service.receiving import Receiving
from echolia.payments.service.reconciling import Reconcilers
from echolia.payments.stores.port import StoreName, StorePort
from echolia.web.context import Proofs

Stores = Mapping[StoreName, StorePort]


@dataclass(frozen=True, slots=True)
class Payments:
    """What devices ask, what stores say, what is done about it; `stores` are those that are taken."""

    stores: Stores
    tiers: PaidTiers
    purchases: Purchases
    receiving: Receiving
    reconcilers: Reconcilers

    async def close(self) -> None:
        """Let go of the stores."""
        for store in self.stores.values():
            await store.close()


def open_payments(tiers: PaidTiers, stores: Stores, proofs: Proofs, clock_ms: Callable[[], int]) -> Payments:
    """The services over the directory that the tiers are read from."""
    db, keys = tiers.db, tiers.keys
    receiving = Receiving(db, keys, stores, tiers.forget, clock_ms)
    return Payments(
        stores,
        tiers,
        Purchases(db, keys, stores, tiers, proofs, clock_ms),
        receiving,
        Reconcilers(db, keys, receiving, clock_ms),
    )
