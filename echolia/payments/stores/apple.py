"""Apple's App Store."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Final, TypeVar

from appstoreserverlibrary.receipt_utility import ReceiptUtility

from echolia.core.errors import EcholiaError
from echolia.core.purchases import Environment, Fact, PurchaseKey, purchase_of
from echolia.payments.stores.access import AppleAccess
from echolia.payments.stores.apple_api import AppStoreApi, check_key
from echolia.payments.stores.apple_signed import Refused, SignedData, VerifierOf, online_verifier
from echolia.payments.stores.connection import StoreConnection
from echolia.payments.stores.fields import Fields, Malformed
from echolia.payments.stores.json_object import json_object
from echolia.payments.stores.port import History, Notification, Received, StoreName, Voided
from echolia.payments.stores.unavailable import StoreUnavailable
from echolia.payments.stores.workers import Workers

T = TypeVar("T")
_THREADS: Final = 8  # most of the time they wait for a responder
_WAITING: Final = 256
_TRANSACTION_ID: Final = re.compile(r"[0-9]{1,32}", re.ASCII)


class AppleStore:
    """One app in the App Store; `verifier_of` makes what verifies its signatures, Apple's library's."""

    def __init__(
        self, access: AppleAccess, clock_ms: Callable[[], int], verifier_of: VerifierOf = online_verifier
    ) -> None:
        check_key(access.private_key)
        self._clock_ms = clock_ms
        self._signed = SignedData(access, clock_ms, verifier_of)
        self._connection = StoreConnection(access.timeout_s, clock_ms)
        self._workers = Workers("apple", _THREADS, _WAITING, access.timeout_s)
        self._apis: Mapping[Environment, AppStoreApi] = {
            environment: AppStoreApi(access, environment, self._connection)
            for environment in access.environments
        }

    @property
    def name(self) -> StoreName:
        """Apple."""
        return "apple"

    async def verify_receipt(self, receipt: str) -> Received:
        """A signed transaction; a receipt of the former kind only says which one to ask for."""
        signed = receipt if receipt.count(".") == 2 else await self._looked_up(receipt)
        if signed is not None:
            try:
                transaction = await self._verifying(lambda: self._signed.transaction(signed))
                return Received(purchase_of(transaction), (transaction,))
            except Refused:
                pass
        raise EcholiaError("receipt_invalid")

    async def verify_notification(self, headers: Mapping[bytes, bytes], body: bytes) -> Notification:
        """Notifications of version 2: `{"signedPayload": …}`."""
        try:
            payload = Fields(json_object(body)).long_text_or_none("signedPayload")
            if payload is not None:
                return await self._verifying(lambda: self._signed.notification(payload))
        except (Malformed, Refused):
            pass
        raise EcholiaError("notification_invalid")

    async def fetch(self, purchase: PurchaseKey) -> Sequence[Fact]:
        """The last transaction and the renewal info."""
        api = self._api(purchase)
        if api is None:
            return ()
        found = [one for one in await api.statuses(purchase.id) if one[0] == purchase.id]
        facts: list[Fact] = []
        for _, transaction, renewal in found:
            facts += await self._said(lambda t=transaction, r=renewal: self._signed.pair(t, r))  # type: ignore[misc]
        return [fact for fact in facts if purchase_of(fact) == purchase]

    async def acknowledge(self, purchase: PurchaseKey, product_id: str) -> None:
        """Apple needs none from a server."""

    async def link(self, purchase: PurchaseKey, account_token: str) -> None:
        """Sets the subscription's `appAccountToken`."""
        api = self._api(purchase)
        if api is not None:
            await api.set_account_token(purchase.id, account_token)

    async def missed(self, since_ms: int, until_ms: int, page: str = "") -> History:
        """Apple's notification history, one environment after the other; a page's name begins with its own.

        What cannot be understood of it is `unreadable`: it came from Apple, and the pages behind it matter.
        """
        order = list(self._apis)
        named, _, inner = page.partition(" ")
        environment = next((one for one in order if one == named), order[0])
        signed, next_inner = await self._apis[environment].undelivered(since_ms, until_ms, inner)
        found = await asyncio.gather(*(self._missed(one, environment) for one in signed))
        if next_inner:
            return History(found, f"{environment} {next_inner}")
        later = order[order.index(environment) + 1 :]
        return History(found, f"{later[0]} " if later else "")

    async def voided(self, since_ms: int, until_ms: int, page: str = "") -> Voided:
        """Apple says it in transactions."""
        return Voided((), "")

    async def close(self) -> None:
        """End its threads and connections."""
        self._workers.close()
        await self._connection.close()

    async def _missed(self, signed: str, environment: Environment) -> Notification:
        try:
            return await self._verifying(lambda: self._signed.notification(signed))
        except Refused:
            digest = sha256(signed.encode()).hexdigest()
            return Notification(digest, "unknown", environment, self._clock_ms(), unreadable=True)

    async def _looked_up(self, receipt: str) -> str | None:
        """The signed transaction that a receipt of the former kind names; itself it proves nothing."""
        transaction_id = await self._verifying(lambda: _transaction_named_in(receipt))
        if transaction_id is None:
            return None
        for api in self._apis.values():
            if (signed := await api.transaction(transaction_id)) is not None:
                return signed
        return None

    def _api(self, purchase: PurchaseKey) -> AppStoreApi | None:
        """None where there can be no such purchase."""
        return self._apis.get(purchase.environment) if _TRANSACTION_ID.fullmatch(purchase.id) else None

    async def _verifying(self, verify: Callable[[], T]) -> T:
        return await self._workers.run(verify)

    async def _said(self, verify: Callable[[], T]) -> T:
        """What the API answered, which has to be whole."""
        try:
            return await self._verifying(verify)
        except Refused:
            pass
        raise StoreUnavailable("malformed")


def _transaction_named_in(receipt: str) -> str | None:
    """The id of a transaction in an app receipt, or in a transaction receipt, which is older still."""
    reader = ReceiptUtility()
    for read in (
        reader.extract_transaction_id_from_app_receipt,
        reader.extract_transaction_id_from_transaction_receipt,
    ):
        try:
            found = read(receipt)
        except (ValueError, TypeError, RecursionError):
            continue
        if isinstance(found, str):
            return found if _TRANSACTION_ID.fullmatch(found) else None
    return None
