"""What the server needs of a store: verified facts, and nothing of how they travel.

Every method may raise `store_unavailable` (503: the store, or what vouches for it, does not answer; ask again
later), which a `web.context.Refusal` may give a `retry_after_s`. What is refused for good is
`receipt_invalid` (400, handed by a device) or `notification_invalid` (400, at a webhook): forged, of another
app, of an environment that the settings do not name, or not whole. No other error of a library comes through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from echolia.core.purchases import Environment, Fact, GoogleVoided, PurchaseKey

StoreName = Literal["apple", "google", "sandbox"]


class Received(NamedTuple):
    """What a device handed over, verified: the subscription, and what is known of it now."""

    purchase: PurchaseKey
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Notification:
    """What came to a webhook, its signature and everything nested in it verified.

    `id` is the store's own (`notificationUUID`, `messageId`), one for however many deliveries. `kind` is the
    store's name of the event (`DID_RENEW`, `DID_CHANGE_RENEWAL_PREF/UPGRADE`, `subscription/4`), kept in
    `[A-Za-z0-9_/]{1,64}`, else `unknown`. `facts` are what it says by itself; `fetch` is what it says to ask
    the store for. `unreadable`: it is the store's, and nobody can understand it; it becomes a dead letter.
    """

    id: str
    kind: str
    environment: Environment
    signed_ms: int
    facts: tuple[Fact, ...] = ()
    fetch: tuple[PurchaseKey, ...] = ()
    unreadable: bool = False


class History(NamedTuple):
    """A page of notifications that a store could not deliver; `next_page` is "" on the last."""

    notifications: Sequence[Notification]
    next_page: str


class Voided(NamedTuple):
    """A page of orders that were taken back; `next_page` is "" on the last."""

    facts: Sequence[GoogleVoided]
    next_page: str


class StorePort(Protocol):
    """One store."""

    @property
    def name(self) -> StoreName:
        """What it is called on the wire."""
        ...

    async def verify_receipt(self, receipt: str) -> Received:
        """The facts in what a device was given by the store: Apple's signed transaction (a legacy receipt is
        looked up), Google's purchase token (it is fetched).

        Raises: `receipt_invalid`, `store_unavailable`.
        """
        ...

    async def verify_notification(self, headers: Mapping[bytes, bytes], body: bytes) -> Notification:
        """What a webhook says; header names are in lower case. Does not ask the store for facts.

        Raises: `notification_invalid`, `store_unavailable` (also where a certificate or key cannot be looked
        up just now).
        """
        ...

    async def fetch(self, purchase: PurchaseKey) -> Sequence[Fact]:
        """All that the store says about a subscription now; nothing where it no longer knows it.

        Raises: `store_unavailable`.
        """
        ...

    async def acknowledge(self, purchase: PurchaseKey, product_id: str) -> None:
        """Tell the store that the purchase was delivered; twice is the same, and nothing where a store needs
        none.

        Raises: `store_unavailable`.
        """
        ...

    async def link(self, purchase: PurchaseKey, account_token: str) -> None:
        """Have the store give this UUID with the subscription from now on; nothing where it cannot.

        Raises: `store_unavailable`.
        """
        ...

    async def missed(self, since_ms: int, until_ms: int, page: str = "") -> History:
        """A page of the notifications that were not delivered in this time; empty where a store keeps none.

        Raises: `store_unavailable`.
        """
        ...

    async def voided(self, since_ms: int, until_ms: int, page: str = "") -> Voided:
        """A page of the orders taken back in this time; empty where a store says it otherwise.

        Raises: `store_unavailable`.
        """
        ...

    async def close(self) -> None:
        """Let go of connections and threads."""
        ...
