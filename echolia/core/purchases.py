"""What a store was verified to say about purchases: facts, each of which replaces an older one of its key
(`spec/payments.md#facts`).

All times are Unix milliseconds. Identifiers of stores are never shown by a representation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import Any, Final, Literal, NamedTuple

from echolia.core.canonical import encode

Environment = Literal["production", "sandbox"]
Ownership = Literal["purchased", "family_shared"]
Offer = Literal["none", "introductory", "promotional", "code", "win_back", "unknown"]
PriceIncrease = Literal["none", "pending", "agreed"]
GoogleState = Literal[
    "pending", "active", "paused", "grace", "on_hold", "canceled", "expired", "pending_canceled", "unknown"
]


@dataclass(frozen=True, slots=True)
class AppleTransaction:
    """A period that was bought: one for each purchase and each renewal.

    `app_account_token` is a UUID in lower case with hyphens. `expires_ms` is None for what is no
    subscription. `revoked_ms` is when it was refunded, or taken from the family.
    """

    environment: Environment
    transaction_id: str = field(repr=False)
    original_transaction_id: str = field(repr=False)
    product_id: str
    purchase_ms: int
    expires_ms: int | None
    signed_ms: int
    app_account_token: str | None = field(default=None, repr=False)
    revoked_ms: int | None = None
    is_upgraded: bool = False
    ownership: Ownership = "purchased"
    offer: Offer = "none"
    is_trial: bool = False


@dataclass(frozen=True, slots=True)
class AppleRenewal:
    """What will become of a subscription at its end: one for each original transaction.

    `is_in_grace`: the store says that it is in its grace period, perhaps without saying until when.
    """

    environment: Environment
    original_transaction_id: str = field(repr=False)
    product_id: str
    auto_renews: bool
    signed_ms: int
    auto_renew_product_id: str | None = None
    is_in_billing_retry: bool = False
    is_in_grace: bool = False
    grace_expires_ms: int | None = None
    price_increase: PriceIncrease = "none"


@dataclass(frozen=True, slots=True)
class GoogleLineItem:
    """One product of a Google subscription.

    `deferred_product_id` is what it becomes at its next renewal. `latest_order_id` is the order that paid the
    current period, with its renewal suffix (`GPA.1234-….3`).
    """

    product_id: str
    expires_ms: int | None
    base_plan_id: str | None = None
    offer_id: str | None = None
    auto_renews: bool = False
    deferred_product_id: str | None = None
    latest_order_id: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class GoogleSnapshot:
    """A purchase token as Google answered at one moment; the fetch that began later is the newer.

    `linked_token` is the token that this one replaced. `obfuscated_account_id` is the UUID that the app gave.
    `expired_token` and `expired_obfuscated_account_id` come from `outOfAppPurchaseContext`, which the
    acknowledgement erases: whose purchase it is has to be settled before.
    """

    purchase_token: str = field(repr=False)
    state: GoogleState
    line_items: tuple[GoogleLineItem, ...]
    fetch_began_ms: int
    start_ms: int | None = None
    test_purchase: bool = False
    acknowledged: bool = False
    linked_token: str | None = field(default=None, repr=False)
    obfuscated_account_id: str | None = field(default=None, repr=False)
    expired_token: str | None = field(default=None, repr=False)
    expired_obfuscated_account_id: str | None = field(default=None, repr=False)
    auto_resume_ms: int | None = None

    @property
    def environment(self) -> Environment:
        """Licence testers buy in the sandbox."""
        return "sandbox" if self.test_purchase else "production"


@dataclass(frozen=True, slots=True)
class GoogleVoided:
    """An order that was refunded, charged back or revoked; `order_id` None means whatever is the latest."""

    purchase_token: str = field(repr=False)
    order_id: str | None = field(repr=False)
    voided_ms: int
    environment: Environment = "production"


Fact = AppleTransaction | AppleRenewal | GoogleSnapshot | GoogleVoided


class PurchaseKey(NamedTuple):
    """A subscription in its store: `id` is Apple's original transaction id, or Google's purchase token.

    Google answers for a token whatever its environment is: there it is always `production`.
    """

    environment: Environment
    id: str

    def __repr__(self) -> str:
        return f"PurchaseKey({self.environment})"


class FactKey(NamedTuple):
    """What a fact is the newest of."""

    kind: Literal["transaction", "renewal", "snapshot", "voided"]
    environment: Environment
    id: str

    def __repr__(self) -> str:
        return f"FactKey({self.kind}, {self.environment})"


_NO_ORDER: Final = ""


def key_of(fact: Fact) -> FactKey:
    """The key under which the newest such fact is kept."""
    match fact:
        case AppleTransaction():
            return FactKey("transaction", fact.environment, fact.transaction_id)
        case AppleRenewal():
            return FactKey("renewal", fact.environment, fact.original_transaction_id)
        case GoogleSnapshot():
            return FactKey("snapshot", "production", fact.purchase_token)
        case GoogleVoided():
            order = fact.order_id or _NO_ORDER
            return FactKey("voided", "production", f"{fact.purchase_token} {order}")


def purchase_of(fact: Fact) -> PurchaseKey:
    """The subscription that a fact is about."""
    match fact:
        case AppleTransaction() | AppleRenewal():
            return PurchaseKey(fact.environment, fact.original_transaction_id)
        case GoogleSnapshot() | GoogleVoided():
            return PurchaseKey("production", fact.purchase_token)


def said_ms(fact: Fact) -> int:
    """When the store said it: signed it, or began to answer."""
    match fact:
        case AppleTransaction() | AppleRenewal():
            return fact.signed_ms
        case GoogleSnapshot():
            return fact.fetch_began_ms
        case GoogleVoided():
            return fact.voided_ms


def members_of(fact: Fact) -> dict[str, Any]:
    """A fact's members as plain values, by their names."""
    members = _members(fact)
    if isinstance(fact, GoogleSnapshot):
        members["line_items"] = tuple(_members(item) for item in fact.line_items)
    return members


def digest_of(fact: Fact) -> bytes:
    """SHA-256 of a fact: of two that the store said at once, the one with the greater digest stays."""
    return sha256(encode(members_of(fact))).digest()


def newest(kept: Fact | None, said: Fact) -> Fact:
    """Of two facts of one key the one to keep, in whatever order they come."""
    if kept is None:
        return said
    return max(kept, said, key=lambda fact: (said_ms(fact), digest_of(fact)))


def _members(of: Fact | GoogleLineItem) -> dict[str, Any]:
    return {name: getattr(of, name) for name in _NAMES[type(of)]}


# Looked up once: `dataclasses.asdict` copies every value, which costs more than sealing a fact does.
_NAMES: Final[Mapping[type, Sequence[str]]] = {
    kind: [each.name for each in fields(kind)]
    for kind in (AppleTransaction, AppleRenewal, GoogleSnapshot, GoogleLineItem, GoogleVoided)
}
