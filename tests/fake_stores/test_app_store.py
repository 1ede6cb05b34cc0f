"""The fake App Store speaks as the real one does: Apple's own client and verifier understand it."""

from __future__ import annotations

import pytest
from appstoreserverlibrary.api_client import APIError, APIException, AppStoreServerAPIClient
from appstoreserverlibrary.models.Environment import Environment
from appstoreserverlibrary.models.NotificationHistoryRequest import NotificationHistoryRequest
from appstoreserverlibrary.models.NotificationTypeV2 import NotificationTypeV2
from appstoreserverlibrary.models.OrderLookupStatus import OrderLookupStatus
from appstoreserverlibrary.models.Status import Status
from appstoreserverlibrary.models.UpdateAppAccountTokenRequest import UpdateAppAccountTokenRequest
from appstoreserverlibrary.signed_data_verifier import (
    SignedDataVerifier,
    VerificationException,
    VerificationStatus,
)

from echolia.fake_stores.app_store import AppStore, failure
from echolia.fake_stores.loopback import Answered
from tests.support.app_store import AppleWorld

TOKEN = "7f1b0e0a-3c1d-4b3e-9f6a-2f6d1c0b9a81"
DAY_MS = 86_400_000


class Client(AppStoreServerAPIClient):
    """Apple's client, sent to loopback."""

    def __init__(
        self, world: AppleWorld, *, private_key: str = "", issuer_id: str = "", bundle_id: str = "",
        key_id: str = "",
    ) -> None:  # fmt: skip
        store = world.store
        super().__init__(
            (private_key or store.private_key).encode(), key_id or store.key_id, issuer_id or store.issuer_id,
            bundle_id or store.app.bundle_id, Environment.PRODUCTION,
        )  # fmt: skip
        self._base_url = store.server.url


@pytest.fixture
def client(world: AppleWorld) -> Client:
    """The client."""
    return Client(world)


@pytest.fixture
def verifier(world: AppleWorld) -> SignedDataVerifier:
    """Apple's verifier, which asks the responder."""
    app = world.store.app
    return SignedDataVerifier(
        [world.authority.root_der], True, Environment.PRODUCTION, app.bundle_id, app.app_apple_id
    )


def test_a_transaction(world: AppleWorld, client: Client, verifier: SignedDataVerifier) -> None:
    sold = world.store.sell("plus.monthly", TOKEN)
    answer = client.get_transaction_info(sold.original_id)
    found = verifier.verify_and_decode_signed_transaction(str(answer.signedTransactionInfo))
    assert (found.productId, found.appAccountToken) == ("plus.monthly", TOKEN)


def test_statuses_of_a_life(world: AppleWorld, client: Client, verifier: SignedDataVerifier) -> None:
    sold = world.store.sell("plus.monthly")

    def status() -> Status | None:
        answer = client.get_all_subscription_statuses(sold.original_id)
        [group] = answer.data or []
        [last] = group.lastTransactions or []
        renewal = verifier.verify_and_decode_renewal_info(str(last.signedRenewalInfo))
        assert renewal.originalTransactionId == last.originalTransactionId == sold.original_id
        return last.status

    assert status() == Status.ACTIVE
    world.clock.now_ms += 31 * DAY_MS
    assert status() == Status.EXPIRED
    sold.fail_to_renew(world.clock() + DAY_MS)
    assert status() == Status.BILLING_GRACE_PERIOD
    world.clock.now_ms += 2 * DAY_MS
    assert status() == Status.BILLING_RETRY
    sold.buy(world.clock())
    assert status() == Status.ACTIVE
    sold.refund(world.clock())
    assert status() == Status.REVOKED


def test_notification_history_in_pages(
    world: AppleWorld, client: Client, verifier: SignedDataVerifier
) -> None:
    sold = world.store.sell("plus.monthly")
    for number in range(43):
        world.store.notify("DID_RENEW", about=sold, delivered=number == 0)
    asked = NotificationHistoryRequest(world.clock() - 1, world.clock() + 1, onlyFailures=True)
    sizes, page = [], None
    while True:
        answer = client.get_notification_history(page, asked)
        for item in answer.notificationHistory or []:
            found = verifier.verify_and_decode_notification(str(item.signedPayload))
            assert found.notificationType == NotificationTypeV2.DID_RENEW
        sizes.append(len(answer.notificationHistory or []))
        page = answer.paginationToken
        if not answer.hasMore:
            break
    assert sizes == [20, 20, 2]
    with pytest.raises(APIException) as raised:
        client.get_notification_history(None, NotificationHistoryRequest(2, 1))
    assert raised.value.api_error == APIError.START_DATE_AFTER_END_DATE
    with pytest.raises(APIException) as raised:
        client.get_notification_history("made-up", asked)
    assert raised.value.api_error == APIError.INVALID_PAGINATION_TOKEN


def test_refund_history_in_pages(world: AppleWorld, client: Client, verifier: SignedDataVerifier) -> None:
    sold = world.store.sell("plus.monthly")
    for _ in range(24):
        sold.buy(world.clock())
    for index in range(21):
        sold.refund(world.clock(), index)
    first = client.get_refund_history(sold.original_id, None)
    second = client.get_refund_history(sold.original_id, first.revision)
    signed = [*(first.signedTransactions or []), *(second.signedTransactions or [])]
    assert (first.hasMore, second.hasMore, len(signed)) == (True, False, 21)
    assert all(verifier.verify_and_decode_signed_transaction(one).revocationDate for one in signed)


def test_an_account_token_is_set(world: AppleWorld, client: Client, verifier: SignedDataVerifier) -> None:
    sold = world.store.sell("plus.monthly")
    sold.buy(world.clock())
    client.set_app_account_token(sold.original_id, UpdateAppAccountTokenRequest(TOKEN))
    signed = client.get_transaction_info(sold.last["transactionId"]).signedTransactionInfo
    assert verifier.verify_and_decode_signed_transaction(str(signed)).appAccountToken == TOKEN
    for transaction_id, token, error in (
        (sold.last["transactionId"], TOKEN, APIError.TRANSACTION_ID_IS_NOT_ORIGINAL_TRANSACTION_ID_ERROR),
        (sold.original_id, "no uuid", APIError.INVALID_APP_ACCOUNT_TOKEN_UUID_ERROR),
        ("404", TOKEN, APIError.TRANSACTION_ID_NOT_FOUND),
    ):
        with pytest.raises(APIException) as raised:
            client.set_app_account_token(transaction_id, UpdateAppAccountTokenRequest(token))
        assert raised.value.api_error == error


def test_an_order_is_looked_up(world: AppleWorld, client: Client) -> None:
    sold = world.store.sell("plus.monthly")
    world.store.orders["M5R4ND0M"] = [sold.original_id]
    answer = client.look_up_order_id("M5R4ND0M")
    assert answer.status == OrderLookupStatus.VALID and len(answer.signedTransactions or []) == 1
    assert client.look_up_order_id("OTHER").status == OrderLookupStatus.INVALID


@pytest.mark.parametrize("code", [4290000, 5000000])
def test_it_fails_on_demand(world: AppleWorld, client: Client, code: int) -> None:
    sold = world.store.sell("plus.monthly")
    world.store.server.will(failure(code), Answered(503))
    with pytest.raises(APIException) as raised:
        client.get_transaction_info(sold.original_id)
    assert raised.value.raw_api_error == code
    with pytest.raises(APIException) as raised:
        client.get_transaction_info(sold.original_id)
    assert raised.value.http_status_code == 503
    assert client.get_transaction_info(sold.original_id).signedTransactionInfo


def test_whose_token_it_is_counts(world: AppleWorld) -> None:
    sold = world.store.sell("plus.monthly")
    strangers = AppStore(world.authority, world.clock)
    clients = [
        Client(world, private_key=strangers.private_key), Client(world, issuer_id="other"),
        Client(world, bundle_id="other"), Client(world, key_id="other"),
    ]  # fmt: skip
    for client in clients:
        with pytest.raises(APIException) as raised:
            client.get_transaction_info(sold.original_id)
        assert raised.value.http_status_code == 401


@pytest.mark.parametrize(
    ("mood", "status"),
    [
        ("revoked", VerificationStatus.VERIFICATION_FAILURE),
        ("stale", VerificationStatus.VERIFICATION_FAILURE),
        ("down", VerificationStatus.RETRYABLE_VERIFICATION_FAILURE),
        ("failing", VerificationStatus.RETRYABLE_VERIFICATION_FAILURE),
    ],
)
def test_the_responder_is_believed(
    world: AppleWorld, verifier: SignedDataVerifier, mood: str, status: VerificationStatus
) -> None:
    signed = world.store.notify("TEST")
    world.responder.mood = mood  # type: ignore[assignment]
    with pytest.raises(VerificationException) as raised:
        verifier.verify_and_decode_notification(signed)
    assert raised.value.status == status
    world.responder.mood = "good"
    assert verifier.verify_and_decode_notification(signed).notificationType == NotificationTypeV2.TEST
