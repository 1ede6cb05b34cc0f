"""One subscription in a fake App Store, lived through by its owner: each act leaves what Apple would sign."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

DAY_MS: Final = 86_400_000
MONTH_MS: Final = 30 * DAY_MS


@dataclass(slots=True)
class AppleApp:
    """The app that is sold in it."""

    bundle_id: str = "com.example.journal"
    app_apple_id: int = 1234567890
    environment: str = "Production"


@dataclass(slots=True)
class AppleSubscription:
    """Payloads as the App Store signs them, without `signedDate`.

    `transactions` are all periods, the last one last; `renewal` is its renewal info.
    """

    app: AppleApp
    original_id: str = field(repr=False)
    product_id: str
    began_ms: int
    account_token: str = field(default="", repr=False)
    period_ms: int = MONTH_MS
    transactions: list[dict[str, Any]] = field(default_factory=list, repr=False)
    renewal: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.renewal = {
            "originalTransactionId": self.original_id,
            "autoRenewProductId": self.product_id,
            "productId": self.product_id,
            "autoRenewStatus": 1,
            "isInBillingRetryPeriod": False,
            "environment": self.app.environment,
            "recentSubscriptionStartDate": self.began_ms,
            "renewalDate": self.began_ms + self.period_ms,
        }
        self.buy(self.began_ms)

    @property
    def last(self) -> dict[str, Any]:
        """The last period."""
        return self.transactions[-1]

    def buy(self, at_ms: int, product_id: str = "") -> dict[str, Any]:
        """A period from then on, bought or renewed."""
        product_id = product_id or self.product_id
        count = len(self.transactions)
        self.transactions.append(
            {
                "transactionId": str(int(self.original_id) + count),
                "originalTransactionId": self.original_id,
                "webOrderLineItemId": str(2_000_000_000 + count),
                "bundleId": self.app.bundle_id,
                "productId": product_id,
                "subscriptionGroupIdentifier": "21000001",
                "purchaseDate": at_ms,
                "originalPurchaseDate": self.began_ms,
                "expiresDate": at_ms + self.period_ms,
                "quantity": 1,
                "type": "Auto-Renewable Subscription",
                "inAppOwnershipType": "PURCHASED",
                "environment": self.app.environment,
                "transactionReason": "RENEWAL" if count else "PURCHASE",
                "storefront": "USA",
                "storefrontId": "143441",
                "price": 4990,
                "currency": "USD",
                "appTransactionId": "704000000000000001",
                **({"appAccountToken": self.account_token} if self.account_token else {}),
            }
        )
        self.renewal |= {"productId": product_id, "autoRenewProductId": product_id}
        self.renewal |= {"renewalDate": at_ms + self.period_ms, "isInBillingRetryPeriod": False}
        self.renewal.pop("gracePeriodExpiresDate", None)
        return self.last

    def cancel(self) -> None:
        """It will not renew."""
        self.renewal |= {"autoRenewStatus": 0}

    def fail_to_renew(self, grace_until_ms: int | None = None) -> None:
        """The card was refused; within a grace period, where there is one."""
        self.renewal |= {"isInBillingRetryPeriod": True}
        if grace_until_ms is not None:
            self.renewal |= {"gracePeriodExpiresDate": grace_until_ms}

    def refund(self, at_ms: int, index: int = -1) -> dict[str, Any]:
        """A period is taken back, the last one unless said otherwise."""
        self.transactions[index] |= {"revocationDate": at_ms, "revocationReason": 0}
        return self.transactions[index]

    def status(self, now_ms: int) -> int:
        """Apple's number: 1 active, 2 expired, 3 billing retry, 4 grace, 5 revoked."""
        if "revocationDate" in self.last:
            return 5
        if now_ms < self.last.get("expiresDate", now_ms + 1):
            return 1
        if not self.renewal["isInBillingRetryPeriod"]:
            return 2
        return 4 if now_ms < self.renewal.get("gracePeriodExpiresDate", 0) else 3
