"""Google's subscription resources as snapshots, and its voided purchases.

`subscribeWithGoogleInfo`, which names a person, is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from echolia.core.purchases import GoogleLineItem, GoogleSnapshot, GoogleState, GoogleVoided
from echolia.payments.stores.fields import Fields

_STATES: Final[Mapping[str, GoogleState]] = {
    "SUBSCRIPTION_STATE_PENDING": "pending",
    "SUBSCRIPTION_STATE_ACTIVE": "active",
    "SUBSCRIPTION_STATE_PAUSED": "paused",
    "SUBSCRIPTION_STATE_IN_GRACE_PERIOD": "grace",
    "SUBSCRIPTION_STATE_ON_HOLD": "on_hold",
    "SUBSCRIPTION_STATE_CANCELED": "canceled",
    "SUBSCRIPTION_STATE_EXPIRED": "expired",
    "SUBSCRIPTION_STATE_PENDING_PURCHASE_CANCELED": "pending_canceled",
}
_ACKNOWLEDGED: Final = "ACKNOWLEDGEMENT_STATE_ACKNOWLEDGED"
_NOTHING: Final = Fields({})


def snapshot_of(said: Fields, purchase_token: str, fetch_began_ms: int) -> GoogleSnapshot:
    """The purchase as it was answered. A state nobody knows yet is `unknown`. Raises: `Malformed`."""
    accounts = said.object_or_none("externalAccountIdentifiers") or _NOTHING
    outside = said.object_or_none("outOfAppPurchaseContext") or _NOTHING
    former = outside.object_or_none("expiredExternalAccountIdentifiers") or _NOTHING
    paused = said.object_or_none("pausedStateContext") or _NOTHING
    return GoogleSnapshot(
        purchase_token,
        _STATES.get(said.text("subscriptionState"), "unknown"),
        tuple(_line_item(line, said) for line in said.objects("lineItems")),
        fetch_began_ms,
        start_ms=said.moment_or_none("startTime"),
        test_purchase=said.object_or_none("testPurchase") is not None,
        acknowledged=said.text_or_none("acknowledgementState") == _ACKNOWLEDGED,
        linked_token=said.text_or_none("linkedPurchaseToken"),
        obfuscated_account_id=accounts.text_or_none("obfuscatedExternalAccountId"),
        expired_token=outside.text_or_none("expiredPurchaseToken"),
        expired_obfuscated_account_id=former.text_or_none("obfuscatedExternalAccountId"),
        auto_resume_ms=paused.moment_or_none("autoResumeTime"),
    )


def _line_item(line: Fields, said: Fields) -> GoogleLineItem:
    renewing = line.object_or_none("autoRenewingPlan") or _NOTHING
    offer = line.object_or_none("offerDetails") or _NOTHING
    deferred = line.object_or_none("deferredItemReplacement") or _NOTHING
    # Before lines had orders of their own, the purchase had one.
    order = line.text_or_none("latestSuccessfulOrderId") or said.text_or_none("latestOrderId")
    return GoogleLineItem(
        line.text("productId"),
        line.moment_or_none("expiryTime"),
        base_plan_id=offer.text_or_none("basePlanId"),
        offer_id=offer.text_or_none("offerId"),
        auto_renews=renewing.flag("autoRenewEnabled"),
        deferred_product_id=deferred.text_or_none("productId"),
        latest_order_id=order,
    )


def voided_of(said: Fields) -> GoogleVoided:
    """A row of voided purchases. Raises: `Malformed`."""
    return GoogleVoided(
        said.text("purchaseToken"), said.text_or_none("orderId"), said.moment_of_number("voidedTimeMillis")
    )
