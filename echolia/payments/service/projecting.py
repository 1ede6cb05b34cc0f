"""From an account's facts to what it has: each subscription, and the one that counts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from echolia.core.purchases import Environment, purchase_of
from echolia.core.subscription import Subscription, subscriptions
from echolia.payments.catalogue import Catalogue, Tier
from echolia.payments.store.entitled import NEVER_MS, Entitled
from echolia.payments.store.reading import Held


class Having(NamedTuple):
    """A subscription: of which store and tier (None: its product is of none), and whether it gives access."""

    store: str
    subscription: Subscription
    tier: Tier | None
    entitles: bool


def projected(
    held: Collection[Held], now_ms: int, catalogue: Catalogue, counting: Collection[Environment]
) -> Sequence[Having]:
    """The account's subscriptions at this time; those of environments that are `counting` give access."""
    found = []
    for store in sorted({each.store for each in held}):
        facts = [each.fact for each in held if each.store == store]
        own = {purchase_of(each.fact) for each in held if each.store == store and each.own}
        for subscription in subscriptions(facts, now_ms):
            if subscription.purchase in own:
                tier = catalogue.by_product.get(subscription.product_id)
                counts = tier is not None and subscription.environment in counting
                entitles = counts and now_ms < subscription.access_until_ms
                found.append(Having(store, subscription, tier, entitles))
    return found


def counting_one(having: Collection[Having]) -> Having | None:
    """The subscription that counts: of the highest tier, then the one that ends last."""
    entitling = [each for each in having if each.entitles]
    return max(entitling, key=_worth, default=None)


def entitled_by(having: Collection[Having], catalogue: Catalogue) -> Entitled:
    """The tier, and when time changes it."""
    best = counting_one(having)
    if best is None or best.tier is None:
        return Entitled(catalogue.free.name, NEVER_MS)  # time alone gives nobody access
    return Entitled(best.tier.name, best.subscription.access_until_ms)


def _worth(having: Having) -> tuple[int, int]:
    return (having.tier.rank if having.tier else 0, having.subscription.access_until_ms)
