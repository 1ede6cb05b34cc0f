"""Each kind of notification that Apple documents for subscriptions, one life long, through the webhook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from echolia.fake_stores.subscription import DAY_MS, AppleSubscription
from tests.payments.stores.test_lives import PLUS, PRO, Lives, lives

__all__ = ["lives"]

Happens = Callable[[AppleSubscription, int], object]


def _nothing(_sold: AppleSubscription, _now_ms: int) -> None:
    """Only a word of the store's."""


def _renewal(**said: object) -> Happens:
    return lambda sold, _: sold.renewal.update(said)


def _last(**said: object) -> Happens:
    return lambda sold, _: sold.last.update(said)


def _renews(sold: AppleSubscription, now_ms: int) -> None:
    sold.buy(now_ms)


def _upgrades(sold: AppleSubscription, now_ms: int) -> None:
    sold.buy(now_ms, PRO)


def _extends(sold: AppleSubscription, _now_ms: int) -> None:
    sold.last["expiresDate"] += 5 * DAY_MS


def _lapses(sold: AppleSubscription, now_ms: int) -> None:
    sold.last["expiresDate"] = now_ms - 1
    sold.renewal.update(isInBillingRetryPeriod=False, autoRenewStatus=0)
    sold.renewal.pop("gracePeriodExpiresDate", None)


def _is_in_grace(sold: AppleSubscription, now_ms: int) -> None:
    sold.last["expiresDate"] = now_ms - 1
    sold.fail_to_renew(now_ms + DAY_MS // 2)


def _grace_ends(sold: AppleSubscription, now_ms: int) -> None:
    sold.renewal["gracePeriodExpiresDate"] = now_ms - 1


def _fails(sold: AppleSubscription, now_ms: int) -> None:
    sold.last["expiresDate"] = now_ms - 1
    sold.fail_to_renew()


# Kind, subtype, what happened, and then the tier, the status and the product that is next.
LIFE: Final[list[tuple[str, str, Happens, str, str, str | None]]] = [
    ("SUBSCRIBED", "INITIAL_BUY", _nothing, "plus", "active", None),
    ("DID_RENEW", "", _renews, "plus", "active", None),
    (
        "DID_CHANGE_RENEWAL_STATUS",
        "AUTO_RENEW_DISABLED",
        _renewal(autoRenewStatus=0),
        "plus",
        "canceled",
        None,
    ),
    ("DID_CHANGE_RENEWAL_STATUS", "AUTO_RENEW_ENABLED", _renewal(autoRenewStatus=1), "plus", "active", None),
    ("TEST", "", _nothing, "plus", "active", None),
    ("CONSUMPTION_REQUEST", "", _nothing, "plus", "active", None),
    ("PRICE_INCREASE", "PENDING", _renewal(priceIncreaseStatus=0), "plus", "active", None),
    ("PRICE_INCREASE", "ACCEPTED", _renewal(priceIncreaseStatus=1), "plus", "active", None),
    ("RENEWAL_EXTENDED", "", _extends, "plus", "active", None),
    ("DID_CHANGE_RENEWAL_PREF", "UPGRADE", _upgrades, "pro", "active", None),
    ("DID_CHANGE_RENEWAL_PREF", "DOWNGRADE", _renewal(autoRenewProductId=PLUS), "pro", "active", PLUS),
    ("DID_CHANGE_RENEWAL_PREF", "", _renewal(autoRenewProductId=PRO), "pro", "active", None),
    ("DID_FAIL_TO_RENEW", "GRACE_PERIOD", _is_in_grace, "pro", "grace", None),
    ("GRACE_PERIOD_EXPIRED", "", _grace_ends, "free", "billing_retry", None),
    ("DID_RENEW", "BILLING_RECOVERY", _upgrades, "pro", "active", None),
    ("DID_FAIL_TO_RENEW", "", _fails, "free", "billing_retry", None),
    ("EXPIRED", "BILLING_RETRY", _lapses, "free", "expired", None),
    ("SUBSCRIBED", "RESUBSCRIBE", _upgrades, "pro", "canceled", None),
    ("OFFER_REDEEMED", "", _renewal(autoRenewStatus=1), "pro", "active", None),
    ("REFUND_DECLINED", "", _nothing, "pro", "active", None),
    ("REFUND", "", _last(revocationDate=1), "free", "revoked", None),
    ("REFUND_REVERSED", "", _last(revocationDate=None), "pro", "active", None),
    ("REVOKE", "", _last(revocationDate=1, inAppOwnershipType="FAMILY_SHARED"), "free", "revoked", None),
    ("A_KIND_OF_NEXT_YEAR", "", _last(revocationDate=None), "pro", "active", None),
]


async def test_each_kind_of_notification(lives: Lives) -> None:
    store = lives.apple.store
    sold = store.sell(PLUS)
    await lives.verify("apple", store.sign(sold.last))
    for number, (kind, subtype, happens, *wanted) in enumerate(LIFE):
        await lives.pass_days(0.01)
        happens(sold, lives.apple.clock())
        answer = await lives.apple_says(store.notify(kind, subtype, sold))
        assert answer.status == 204, (kind, answer.body)
        told = (await lives.ask("GET", "/payments/subscription")).json()
        (one,) = told["subscriptions"]
        found = [told["tier"], one["status"], one["next_product"]]
        assert found == wanted, (number, kind, subtype)
        if kind == "PRICE_INCREASE":
            assert one["price_increase"] == {"PENDING": "pending", "ACCEPTED": "agreed"}[subtype]
