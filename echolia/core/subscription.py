"""What a set of facts comes to at a moment: each subscription's status, and until when it gives access
(`spec/payments.md#projection`).

Nothing is remembered between two answers, so whatever order the facts came in, and however often, the answer
is the same; and time alone ends what has an end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from echolia.core.purchases import (
    AppleRenewal,
    AppleTransaction,
    Environment,
    Fact,
    GoogleLineItem,
    GoogleSnapshot,
    GoogleState,
    GoogleVoided,
    Ownership,
    PriceIncrease,
    PurchaseKey,
    purchase_of,
)

Status = Literal[
    "none", "pending", "active", "canceled", "grace", "billing_retry", "paused", "expired", "revoked"
]
# With these there is access.
ENTITLED: Final[frozenset[Status]] = frozenset({"active", "canceled", "grace"})
# How long a grace period lasts whose end the store did not tell, after it was told to have begun.
UNDATED_GRACE_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription's product as it is at a moment.

    There is access while the time is before `access_until_ms`, 0 where there is none. `next_product_id` is
    what it becomes at its next renewal, where that is another.
    """

    purchase: PurchaseKey
    environment: Environment
    product_id: str
    status: Status
    access_until_ms: int
    auto_renews: bool
    next_product_id: str | None = None
    ownership: Ownership = "purchased"
    is_trial: bool = False
    price_increase: PriceIncrease = "none"


def subscriptions(facts: Collection[Fact], now_ms: int) -> list[Subscription]:
    """All subscriptions that the facts are about, sorted; `facts` has the newest of each key.

    To know that a Google token was replaced, the snapshots that are linked to it have to be among them.
    """
    found = [*_apple(facts, now_ms), *_google(facts, now_ms)]
    return sorted(found, key=lambda each: (each.purchase, each.product_id))


class _Period(NamedTuple):
    """Apple's newest period of a subscription, and what was said of its renewal."""

    latest: AppleTransaction
    renewal: AppleRenewal | None
    now_ms: int

    @property
    def paid_ms(self) -> int:
        return self.latest.expires_ms or 0

    @property
    def renews(self) -> bool:
        return self.renewal is None or self.renewal.auto_renews

    @property
    def failing(self) -> AppleRenewal | None:
        """The failed renewal of this period; one that was signed before it began is of an earlier one."""
        renewal = self.renewal
        if renewal is None or renewal.signed_ms < self.latest.purchase_ms:
            return None
        return renewal if renewal.is_in_billing_retry or renewal.is_in_grace else None

    @property
    def grace_ms(self) -> int:
        if self.failing is None:
            return 0
        undated_ms = self.failing.signed_ms + UNDATED_GRACE_MS if self.failing.is_in_grace else 0
        return self.failing.grace_expires_ms or undated_ms


# The first row that holds says what an Apple subscription is.
_APPLE: Final[Sequence[tuple[Callable[[_Period], bool], Status]]] = (
    (lambda at: at.latest.revoked_ms is not None, "revoked"),  # never back to an older period
    (lambda at: at.latest.expires_ms is None, "none"),  # no subscription
    (lambda at: at.now_ms < at.paid_ms and at.renews, "active"),
    (lambda at: at.now_ms < at.paid_ms, "canceled"),
    (lambda at: at.now_ms < at.grace_ms, "grace"),
    (lambda at: at.failing is not None and at.failing.is_in_billing_retry, "billing_retry"),
    (lambda _: True, "expired"),
)

# What a Google subscription is while its date lies ahead, and from then on.
_GOOGLE: Final[Mapping[GoogleState, tuple[Status, Status]]] = {
    "pending": ("pending", "pending"),
    "pending_canceled": ("none", "none"),
    "active": ("active", "expired"),
    "canceled": ("canceled", "expired"),
    "grace": ("grace", "billing_retry"),
    "on_hold": ("billing_retry", "billing_retry"),
    "paused": ("paused", "paused"),
    "expired": ("expired", "expired"),
    "unknown": ("active", "expired"),  # a state that is new to us: the date decides
}
# A purchase in these does not yet replace the one that it is linked to.
_NOT_BOUGHT: Final[frozenset[GoogleState]] = frozenset({"pending", "pending_canceled"})


def _apple(facts: Collection[Fact], now_ms: int) -> Iterator[Subscription]:
    renewals = {purchase_of(fact): fact for fact in facts if isinstance(fact, AppleRenewal)}
    periods: dict[PurchaseKey, list[AppleTransaction]] = {}
    for fact in facts:
        if isinstance(fact, AppleTransaction):
            periods.setdefault(purchase_of(fact), []).append(fact)
    for purchase, transactions in periods.items():
        latest = max(transactions, key=_began)
        yield _apple_subscription(_Period(latest, renewals.get(purchase), now_ms))


def _began(period: AppleTransaction) -> tuple[int, bool, int, str]:
    # What was upgraded from ends where the upgrade begins, perhaps at the same millisecond.
    return (period.purchase_ms, not period.is_upgraded, period.expires_ms or 0, period.transaction_id)


def _apple_subscription(period: _Period) -> Subscription:
    latest, renewal = period.latest, period.renewal
    status = next(status for holds, status in _APPLE if holds(period))
    following = renewal.auto_renew_product_id if renewal and renewal.auto_renews else None
    return Subscription(
        purchase=purchase_of(latest),
        environment=latest.environment,
        product_id=latest.product_id,
        status=status,
        access_until_ms=max(period.paid_ms, period.grace_ms) if status in ENTITLED else 0,
        auto_renews=period.renews and status not in ("revoked", "expired", "none"),
        next_product_id=following if following != latest.product_id and status in ENTITLED else None,
        ownership=latest.ownership,
        is_trial=latest.is_trial,
        price_increase=renewal.price_increase if renewal else "none",
    )


def _google(facts: Collection[Fact], now_ms: int) -> Iterator[Subscription]:
    snapshots = [fact for fact in facts if isinstance(fact, GoogleSnapshot)]
    voided = [fact for fact in facts if isinstance(fact, GoogleVoided)]
    replaced = {
        PurchaseKey("production", each.linked_token)
        for each in snapshots
        if each.linked_token and each.state not in _NOT_BOUGHT
    }
    for snapshot in snapshots:
        for item in snapshot.line_items:
            ended = _ended(snapshot, item, purchase_of(snapshot) in replaced, voided)
            yield _google_subscription(snapshot, item, ended, now_ms)


def _ended(
    snapshot: GoogleSnapshot, item: GoogleLineItem, replaced: bool, voided: Iterable[GoogleVoided]
) -> Status | None:
    """What ended it, whatever its state and dates are."""
    taken_back = any(
        purchase_of(void) == purchase_of(snapshot) and void.order_id in (None, item.latest_order_id)
        for void in voided
    )
    if taken_back:
        return "revoked"
    return "expired" if replaced else None


def _google_subscription(
    snapshot: GoogleSnapshot, item: GoogleLineItem, ended: Status | None, now_ms: int
) -> Subscription:
    undated_ms = snapshot.fetch_began_ms + UNDATED_GRACE_MS if snapshot.state == "grace" else 0
    paid_ms = undated_ms if item.expires_ms is None else item.expires_ms
    ahead, behind = _GOOGLE[snapshot.state]
    status = ended or (ahead if now_ms < paid_ms else behind)
    return Subscription(
        purchase=purchase_of(snapshot),
        environment=snapshot.environment,
        product_id=item.product_id,
        status=status,
        access_until_ms=paid_ms if status in ENTITLED else 0,
        auto_renews=item.auto_renews and status not in ("revoked", "expired", "none"),
        next_product_id=item.deferred_product_id if status in ENTITLED else None,
    )
