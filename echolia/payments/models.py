"""What requests and answers about purchases look like in JSON (`spec/payments.md`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from echolia.core.purchases import Environment, Ownership, PriceIncrease
from echolia.core.subscription import Status
from echolia.web.wire import Hash, Signature, Wire

RECEIPT_CHARACTERS = 128 * 1024
StoreName = Annotated[str, Field(pattern=r"^[a-z]{1,16}$")]
# What a store gave a device: whoever has it has the purchase.
Receipt = Annotated[str, Field(min_length=1, max_length=RECEIPT_CHARACTERS, repr=False)]


class Handed(Wire):
    """What a store gave a device."""

    store: StoreName
    receipt: Receipt


class Restore(Handed):
    """The same, and a fresh challenge signed for this."""

    challenge: Hash
    signature: Signature


class Had(Wire):
    """A subscription of the account as it is now."""

    store: str
    environment: Environment
    product: str
    tier: str | None
    status: Status
    access_until_ms: int | None
    auto_renews: bool
    next_product: str | None
    ownership: Ownership
    trial: bool
    price_increase: PriceIncrease
    entitles: bool


class MovedAway(Wire):
    """A purchase that another account restored."""

    store: str
    at_ms: int


class Subscription(Wire):
    """What the account has for its purchases, and how the next one is to be marked."""

    tier: str
    access_until_ms: int | None
    subscriptions: list[Had]
    account_tokens: dict[Literal["apple", "google", "sandbox"], str] = Field(repr=False)
    moved: list[MovedAway]
