"""A store in memory that speaks like Google: notifications only say what to fetch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from echolia.core.errors import EcholiaError
from echolia.core.purchases import Fact, GoogleLineItem, GoogleSnapshot, GoogleVoided, PurchaseKey
from echolia.payments.stores.port import History, Notification, Received, StoreName, Voided
from tests.support.server import Clock

DAY_MS = 86_400_000


class Died(BaseException):
    """The process ends here: nothing that would catch an error catches this."""


class ScriptedGoogle:
    """Implements `StorePort`; a test sets `tokens`, `failing`, `pages` and `taken_back`.

    `pages_asked` is which pages of lists were asked for; at the one that is `dies_at` the process ends, once.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.tokens: dict[str, GoogleSnapshot] = {}
        self.failing: EcholiaError | None = None
        self.pages: list[list[Notification]] = []
        self.taken_back: list[GoogleVoided] = []
        self.acknowledged: list[str] = []
        self.pages_asked: list[str] = []
        self.dies_at: str | None = None

    @property
    def name(self) -> StoreName:
        """See `StorePort.name`."""
        return "google"

    @property
    def now_ms(self) -> int:
        """The time."""
        return int(self._clock() * 1000)

    def bought(self, token: str, product: str = "echolia.plus.monthly", **said: Any) -> GoogleSnapshot:
        """A month of a product, not acknowledged yet, begins now."""
        item = GoogleLineItem(
            product, self.now_ms + 30 * DAY_MS, auto_renews=True, latest_order_id=f"GPA {token}"
        )
        snapshot = GoogleSnapshot(token, said.pop("state", "active"), (item,), self.now_ms, **said)
        self.tokens[token] = snapshot
        return snapshot

    def becomes(self, token: str, **said: Any) -> None:
        """A token is something else from now on."""
        self.tokens[token] = replace(self.tokens[token], **said)

    def notification(self, number: int, kind: str, *tokens: str, unreadable: bool = False) -> bytes:
        """What the webhook gets."""
        return json.dumps({"id": number, "kind": kind, "tokens": tokens, "unreadable": unreadable}).encode()

    async def verify_receipt(self, receipt: str) -> Received:
        """See `StorePort.verify_receipt`."""
        facts = await self.fetch(PurchaseKey("production", receipt))
        if not facts:
            raise EcholiaError("receipt_invalid")
        return Received(PurchaseKey("production", receipt), tuple(facts))

    async def verify_notification(self, headers: Mapping[bytes, bytes], body: bytes) -> Notification:
        """See `StorePort.verify_notification`; unsigned ones are refused."""
        self._answer()
        if headers.get(b"authorization") != b"Signed by Google":
            raise EcholiaError("notification_invalid")
        return self.read(body)

    def read(self, body: bytes) -> Notification:
        """The notification in a body."""
        said = json.loads(body)
        keys = tuple(PurchaseKey("production", token) for token in said["tokens"])
        return Notification(
            f"message-{said['id']}",
            said["kind"],
            "production",
            self.now_ms,
            fetch=keys,
            unreadable=said["unreadable"],
        )

    async def fetch(self, purchase: PurchaseKey) -> Sequence[Fact]:
        """See `StorePort.fetch`."""
        self._answer()
        self._clock.pass_s(0.002)  # it takes its time
        found = self.tokens.get(purchase.id)
        return [replace(found, fetch_began_ms=self.now_ms)] if found else []

    async def acknowledge(self, purchase: PurchaseKey, product_id: str) -> None:
        """See `StorePort.acknowledge`; as Google does, it erases the context."""
        self._answer()
        assert product_id == self.tokens[purchase.id].line_items[0].product_id
        self.acknowledged.append(purchase.id)
        self.becomes(purchase.id, acknowledged=True, expired_token=None, expired_obfuscated_account_id=None)

    async def link(self, purchase: PurchaseKey, account_token: str) -> None:
        """See `StorePort.link`: it cannot."""

    async def missed(self, since_ms: int, until_ms: int, page: str = "") -> History:
        """See `StorePort.missed`."""
        self._turned_to(page)
        at = int(page or 0)
        said = self.pages[at] if self.pages else []
        inside = [each for each in said if since_ms <= each.signed_ms <= until_ms]
        return History(inside, str(at + 1) if at + 1 < len(self.pages) else "")

    async def voided(self, since_ms: int, until_ms: int, page: str = "") -> Voided:
        """See `StorePort.voided`; one a page."""
        self._turned_to(page)
        at = int(page or 0)
        inside = [each for each in self.taken_back if since_ms <= each.voided_ms <= until_ms]
        return Voided(inside[at : at + 1], str(at + 1) if at + 1 < len(inside) else "")

    async def close(self) -> None:
        """See `StorePort.close`."""

    def _answer(self) -> None:
        if self.failing is not None:
            raise self.failing

    def _turned_to(self, page: str) -> None:
        self.pages_asked.append(page)
        if self.dies_at == page:
            self.dies_at = None
            raise Died
        self._answer()
