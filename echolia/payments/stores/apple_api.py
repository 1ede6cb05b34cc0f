"""Apple's App Store Server API, by its library's own client over our connection."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Final, TypeVar

import httpx2
from appstoreserverlibrary.api_client import (
    APIException,
    AsyncAppStoreServerAPIClient,
    BaseAppStoreServerAPIClient,
)
from appstoreserverlibrary.models.Environment import Environment as AppleEnvironment
from appstoreserverlibrary.models.NotificationHistoryRequest import NotificationHistoryRequest
from appstoreserverlibrary.models.NotificationHistoryResponse import NotificationHistoryResponse
from appstoreserverlibrary.models.StatusResponse import StatusResponse
from appstoreserverlibrary.models.TransactionInfoResponse import TransactionInfoResponse
from appstoreserverlibrary.models.UpdateAppAccountTokenRequest import UpdateAppAccountTokenRequest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from echolia.core.errors import EcholiaError
from echolia.core.purchases import Environment
from echolia.payments.stores.access import AppleAccess
from echolia.payments.stores.connection import StoreConnection
from echolia.payments.stores.unavailable import StoreUnavailable

T = TypeVar("T")
# Not found just now: account, app, original transaction.
_RETRYABLE: Final = frozenset({4040002, 4040004, 4040006})
_SENT: Final = ("Authorization", "Accept")


class _Client(AsyncAppStoreServerAPIClient):
    """The library's client; how a request travels is ours, where to is set."""

    def __init__(self, access: AppleAccess, environment: Environment, connection: StoreConnection) -> None:
        # Past its parent, which would make an HTTP client of its own.
        BaseAppStoreServerAPIClient.__init__(
            self,
            access.private_key.encode(),
            access.key_id,
            access.issuer_id,
            access.bundle_id,
            AppleEnvironment.PRODUCTION if environment == "production" else AppleEnvironment.SANDBOX,
        )
        self._base_url = access.urls[environment]
        self._connection = connection

    async def _execute_request(
        self,
        method: str,
        url: str,
        params: Mapping[str, str | list[str]],
        headers: Mapping[str, str],
        json: Mapping[str, object] | None,
        data: bytes | None,
    ) -> httpx2.Response:
        sent = {name: headers[name] for name in _SENT}
        return await self._connection.send(method, str(httpx2.URL(url, params=params)), sent, json)


def check_key(private_key: str) -> None:
    """Raises: `settings_invalid` where it is no key that Apple gives, a P-256 one in PEM."""
    try:
        key = load_pem_private_key(private_key.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise EcholiaError("settings_invalid", "Apple's API key is no P-256 key in PEM")


class AppStoreApi:
    """One environment's API. None is what it says that it does not know; all raise `StoreUnavailable`."""

    def __init__(self, access: AppleAccess, environment: Environment, connection: StoreConnection) -> None:
        self._client = _Client(access, environment, connection)

    async def transaction(self, transaction_id: str) -> str | None:
        """A transaction, signed."""
        answer: TransactionInfoResponse | None = await _answered(
            self._client.get_transaction_info(transaction_id)
        )
        return answer.signedTransactionInfo if answer else None

    async def statuses(self, transaction_id: str) -> list[tuple[str, str, str | None]]:
        """Of each subscription its original transaction id, last transaction and renewal info."""
        answer: StatusResponse | None = await _answered(
            self._client.get_all_subscription_statuses(transaction_id)
        )
        groups = answer.data or [] if answer else []
        return [
            (item.originalTransactionId, item.signedTransactionInfo, item.signedRenewalInfo)
            for group in groups
            for item in group.lastTransactions or []
            if item.originalTransactionId and item.signedTransactionInfo
        ]

    async def undelivered(self, since_ms: int, until_ms: int, page: str) -> tuple[list[str], str]:
        """A page of signed notifications, and the next page's name or ""."""
        asked = NotificationHistoryRequest(startDate=since_ms, endDate=until_ms, onlyFailures=True)
        answer: NotificationHistoryResponse | None = await _answered(
            self._client.get_notification_history(page or None, asked)
        )
        if answer is None:
            raise StoreUnavailable("malformed")
        signed = [item.signedPayload for item in answer.notificationHistory or [] if item.signedPayload]
        return signed, (answer.paginationToken or "") if answer.hasMore else ""

    async def set_account_token(self, transaction_id: str, token: str) -> None:
        """Nothing where it is not known, or shared by a family and so somebody else's."""
        await _answered(
            self._client.set_app_account_token(transaction_id, UpdateAppAccountTokenRequest(token))
        )


async def _answered(answer: Awaitable[T]) -> T | None:
    try:
        return await answer
    except StoreUnavailable:
        raise
    except APIException as error:
        code = error.raw_api_error
    except Exception:  # noqa: BLE001  # an answer of another form ends in whatever the library met
        code = 0
    if code == 0:
        raise StoreUnavailable("malformed")
    if code in _RETRYABLE:
        raise StoreUnavailable("failed")
    return None
