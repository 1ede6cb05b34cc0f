"""Google Play."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import quote, urlencode

import httpx2

from echolia.core.errors import EcholiaError
from echolia.core.purchases import Fact, GoogleSnapshot, PurchaseKey, purchase_of
from echolia.payments.stores.access import GoogleAccess
from echolia.payments.stores.connection import StoreConnection
from echolia.payments.stores.fields import Fields, Malformed
from echolia.payments.stores.google_events import NotOurs, event_of
from echolia.payments.stores.google_facts import snapshot_of, voided_of
from echolia.payments.stores.google_push import PushTokens
from echolia.payments.stores.google_tokens import GoogleTokens
from echolia.payments.stores.json_object import json_object
from echolia.payments.stores.port import History, Notification, Received, StoreName, Voided
from echolia.payments.stores.unavailable import StoreUnavailable
from echolia.payments.stores.workers import Workers

_THREADS: Final = 4
_WAITING: Final = 256
_LONGEST_TOKEN: Final = 1024
_GONE: Final = frozenset({400, 404, 410})  # 400: no token of Google's at all
_PAGE: Final = 1000
# Google refuses to be asked about more than 30 days; the minutes are for the way and for clocks that differ.
_VOIDED_MS: Final = 30 * 86_400_000 - 10 * 60_000


class GoogleStore:
    """One app in Google Play."""

    def __init__(self, access: GoogleAccess, clock_ms: Callable[[], int]) -> None:
        self._access = access
        self._clock_ms = clock_ms
        self._workers = Workers("google", _THREADS, _WAITING, access.timeout_s)
        self._push = PushTokens(access)
        self._tokens = GoogleTokens(access.service_account, access.timeout_s, self._workers)
        self._connection = StoreConnection(access.timeout_s, clock_ms)
        app = quote(access.package_name, safe="")
        self._purchases = f"{access.url}/androidpublisher/v3/applications/{app}/purchases"

    @property
    def name(self) -> StoreName:
        """Google."""
        return "google"

    async def verify_receipt(self, receipt: str) -> Received:
        """A purchase token: Google says what it is good for."""
        snapshot = await self._snapshot(receipt) if _is_token(receipt) else None
        if snapshot is None:
            raise EcholiaError("receipt_invalid")
        return Received(purchase_of(snapshot), (snapshot,))

    async def verify_notification(self, headers: Mapping[bytes, bytes], body: bytes) -> Notification:
        """A push of Pub/Sub. It only says what to ask for, but for orders that were voided."""
        if await self._workers.run(lambda: self._push.admits(headers)):
            try:
                return event_of(body, self._access, self._clock_ms())
            except NotOurs:
                pass
        raise EcholiaError("notification_invalid")

    async def fetch(self, purchase: PurchaseKey) -> Sequence[Fact]:
        """The purchase as it is now."""
        snapshot = await self._snapshot(purchase.id) if _is_token(purchase.id) else None
        return () if snapshot is None else (snapshot,)

    async def acknowledge(self, purchase: PurchaseKey, product_id: str) -> None:
        """What is not acknowledged within three days is refunded.

        It erases `outOfAppPurchaseContext`: who calls has stored a snapshot before.
        """
        place = f"subscriptions/{quote(product_id, safe='')}/tokens/{quote(purchase.id, safe='')}"
        response = await self._ask("POST", f"{place}:acknowledge", {})
        if response.status_code not in (200, 204, 404, 410):
            raise StoreUnavailable("failed")

    async def link(self, purchase: PurchaseKey, account_token: str) -> None:
        """Google takes the account's UUID only from the app, when it sells."""

    async def missed(self, since_ms: int, until_ms: int, page: str = "") -> History:
        """Pub/Sub keeps what was not taken, and pushes it again by itself."""
        return History((), "")

    async def voided(self, since_ms: int, until_ms: int, page: str = "") -> Voided:
        """Orders that were refunded or charged back; Google knows those of the last 30 days."""
        since_ms = max(since_ms, self._clock_ms() - _VOIDED_MS)
        asked = {"startTime": since_ms, "endTime": until_ms, "type": 1, "maxResults": _PAGE}
        query = urlencode({**asked, **({"token": page} if page else {})})
        response = await self._ask("GET", f"voidedpurchases?{query}")
        if response.status_code == 200:
            try:
                said = Fields(json_object(response.content))
                paging = said.object_or_none("tokenPagination") or Fields({})
                facts = tuple(voided_of(row) for row in said.objects("voidedPurchases"))
                return Voided(facts, paging.long_text_or_none("nextPageToken") or "")
            except Malformed:
                pass
        raise StoreUnavailable("malformed")

    async def close(self) -> None:
        """End its threads and connections."""
        self._workers.close()
        self._tokens.close()
        await self._connection.close()

    async def _snapshot(self, token: str) -> GoogleSnapshot | None:
        """None where Google does not know the token, or no longer."""
        began_ms = self._clock_ms()
        response = await self._ask("GET", f"subscriptionsv2/tokens/{quote(token, safe='')}")
        if response.status_code in _GONE:
            return None
        if response.status_code == 200:
            try:
                return snapshot_of(Fields(json_object(response.content)), token, began_ms)
            except Malformed:
                pass
        raise StoreUnavailable("malformed")

    async def _ask(
        self, method: str, place: str, json: Mapping[str, object] | None = None
    ) -> httpx2.Response:
        headers = {"authorization": await self._tokens.authorization(), "accept": "application/json"}
        try:
            return await self._connection.send(method, f"{self._purchases}/{place}", headers, json)
        except StoreUnavailable as error:
            if error.reason == "credentials":
                self._tokens.forget()
            raise


def _is_token(text: str) -> bool:
    """Dots alone would be a step in the address."""
    return 0 < len(text.strip(".")) <= len(text) <= _LONGEST_TOKEN and text.isascii() and text.isprintable()
