"""Apple's decoded transactions and renewal infos as facts; who calls has verified them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from echolia.core.purchases import (
    AppleRenewal,
    AppleTransaction,
    Environment,
    Offer,
    Ownership,
    PriceIncrease,
)
from echolia.payments.stores.fields import Fields

# The only two in which anything is signed: Xcode and LocalTesting are names of environments as well.
ENVIRONMENTS: Final[Mapping[str, Environment]] = {"Production": "production", "Sandbox": "sandbox"}
_OFFERS: Final[Mapping[int | None, Offer]] = {
    None: "none", 1: "introductory", 2: "promotional", 3: "code", 4: "win_back"
}  # fmt: skip
_PRICE_INCREASES: Final[Mapping[int | None, PriceIncrease]] = {None: "none", 0: "pending", 1: "agreed"}
_SUBSCRIPTION: Final = "Auto-Renewable Subscription"


def transaction_of(said: Fields, environment: Environment) -> AppleTransaction:
    """The period that was bought. `appTransactionId`, which names a person across apps, is not read.

    Raises: `Malformed`.
    """
    return AppleTransaction(
        environment,
        said.text("transactionId"),
        said.text("originalTransactionId"),
        said.text("productId"),
        said.whole("purchaseDate"),
        said.whole("expiresDate") if said.text("type") == _SUBSCRIPTION else None,
        said.whole("signedDate"),
        app_account_token=said.uuid_or_none("appAccountToken"),
        revoked_ms=said.whole_or_none("revocationDate"),
        is_upgraded=said.flag("isUpgraded"),
        ownership=_ownership(said),
        offer=_OFFERS.get(said.whole_or_none("offerType"), "unknown"),
        is_trial=said.text_or_none("offerDiscountType") == "FREE_TRIAL",
    )


def renewal_of(said: Fields, environment: Environment) -> AppleRenewal:
    """What will become of it. Raises: `Malformed`."""
    return AppleRenewal(
        environment,
        said.text("originalTransactionId"),
        said.text("productId"),
        said.whole("autoRenewStatus") == 1,
        said.whole("signedDate"),
        auto_renew_product_id=said.text_or_none("autoRenewProductId"),
        is_in_billing_retry=said.flag("isInBillingRetryPeriod"),
        grace_expires_ms=said.whole_or_none("gracePeriodExpiresDate"),
        price_increase=_PRICE_INCREASES.get(said.whole_or_none("priceIncreaseStatus"), "none"),
    )


def _ownership(said: Fields) -> Ownership:
    shared = said.text_or_none("inAppOwnershipType") == "FAMILY_SHARED"
    return "family_shared" if shared else "purchased"
