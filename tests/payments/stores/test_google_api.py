"""What the adapter asks of Google Play, and what it makes of answers and of none."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from echolia.core.errors import EcholiaError
from echolia.core.purchases import GoogleLineItem, GoogleSnapshot, GoogleVoided, PurchaseKey
from echolia.fake_stores.google_play import failure, rfc3339
from echolia.fake_stores.loopback import HANG_UP, Answered
from echolia.payments.stores.google import GoogleStore
from echolia.payments.stores.unavailable import StoreUnavailable
from tests.support.google_play import GoogleWorld

TOKEN = "opaque/token:with+odd?letters#.AO-J1Oz"
PURCHASE = PurchaseKey("production", TOKEN)
ACCOUNT = "7f1b0e0a-3c1d-4b3e-9f6a-2f6d1c0b9a81"


async def snapshot(google: GoogleStore) -> GoogleSnapshot:
    """The one fact that there is."""
    [fact] = await google.fetch(PURCHASE)
    assert isinstance(fact, GoogleSnapshot)
    return fact


async def test_a_purchase_as_it_is_now(google_side: GoogleWorld, google: GoogleStore) -> None:
    now = google_side.clock()
    google_side.play.sell(TOKEN, "plus", account_token=ACCOUNT)
    expected = GoogleSnapshot(
        TOKEN, "active",
        (GoogleLineItem("plus", now + 30 * 86_400_000, "monthly", None, True, None, f"GPA.{TOKEN}"),),
        now, start_ms=now, obfuscated_account_id=ACCOUNT,
    )  # fmt: skip
    assert await snapshot(google) == expected
    received = await google.verify_receipt(TOKEN)
    assert received == (PURCHASE, (expected,))


async def test_everything_that_a_purchase_may_say(google_side: GoogleWorld, google: GoogleStore) -> None:
    now = google_side.clock()
    sold = google_side.play.sell(
        TOKEN, "plus", linkedPurchaseToken="former", testPurchase={}, pausedStateContext={
            "autoResumeTime": rfc3339(now + 5)
        },
        outOfAppPurchaseContext={
            "expiredPurchaseToken": "expired",
            "expiredExternalAccountIdentifiers": {"obfuscatedExternalAccountId": ACCOUNT},
        },
        subscribeWithGoogleInfo={"emailAddress": "ada@example.com", "givenName": "Ada"},
    )  # fmt: skip
    line = sold["lineItems"][0]
    line |= {"deferredItemReplacement": {"productId": "basic"}, "autoRenewingPlan": {}}
    line["offerDetails"]["offerId"] = "trial"
    del line["latestSuccessfulOrderId"]
    found = await snapshot(google)
    assert (found.linked_token, found.environment, found.auto_resume_ms) == ("former", "sandbox", now + 5)
    assert (found.expired_token, found.expired_obfuscated_account_id) == ("expired", ACCOUNT)
    [item] = found.line_items
    assert (item.deferred_product_id, item.auto_renews, item.offer_id) == ("basic", False, "trial")
    assert item.latest_order_id == f"GPA.{TOKEN}"
    assert not {"ada@example.com", "Ada"} & set(map(str, asdict(found).values()))


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("PENDING", "pending"), ("ACTIVE", "active"), ("PAUSED", "paused"), ("IN_GRACE_PERIOD", "grace"),
        ("ON_HOLD", "on_hold"), ("CANCELED", "canceled"), ("EXPIRED", "expired"),
        ("PENDING_PURCHASE_CANCELED", "pending_canceled"), ("SOMETHING_NEW", "unknown"),
    ],
)  # fmt: skip
async def test_each_state(google_side: GoogleWorld, google: GoogleStore, said: str, state: str) -> None:
    google_side.play.sell(TOKEN, "plus", subscriptionState=f"SUBSCRIPTION_STATE_{said}")
    assert (await snapshot(google)).state == state


async def test_acknowledging_erases_what_was_read_before(
    google_side: GoogleWorld, google: GoogleStore
) -> None:
    google_side.play.sell(TOKEN, "plus", outOfAppPurchaseContext={"expiredPurchaseToken": "expired"})
    before = await snapshot(google)
    for _ in range(2):
        await google.acknowledge(PURCHASE, "plus")
    after = await snapshot(google)
    assert (before.acknowledged, before.expired_token) == (False, "expired")
    assert (after.acknowledged, after.expired_token) == (True, None)
    await google.acknowledge(PurchaseKey("production", "gone"), "plus")
    google_side.play.sell(TOKEN, "plus", subscriptionState="SUBSCRIPTION_STATE_PENDING")
    with pytest.raises(StoreUnavailable):
        await google.acknowledge(PURCHASE, "plus")


async def test_voided_found_by_reconciliation(google_side: GoogleWorld, google: GoogleStore) -> None:
    now = google_side.clock()
    for number in range(5):
        google_side.play.void(f"token {number}", f"GPA.{number}")
    found: list[GoogleVoided] = []
    page, pages = "", 0
    while page or not pages:
        voided = await google.voided(now - 1, now + 1, page)
        found += voided.facts
        page, pages = voided.next_page, pages + 1
    assert pages == 3
    assert found == [GoogleVoided(f"token {number}", f"GPA.{number}", now) for number in range(5)]
    assert await google.voided(now + 1, now + 2) == ((), "")
    assert len((await google.voided(0, now + 1)).facts) == 2  # further back than Google is to be asked


@pytest.mark.parametrize(
    "token", ["", "nobody's", "x" * 1025, "\x00", "é", "line\nbreak", "../../voidedpurchases", ".", ".."]
)
async def test_what_google_does_not_know(google_side: GoogleWorld, google: GoogleStore, token: str) -> None:
    assert list(await google.fetch(PurchaseKey("production", token))) == []
    with pytest.raises(EcholiaError, match="receipt_invalid"):
        await google.verify_receipt(token)
    asked = [one.steps for one in google_side.play.server.asked if one.path != "/token"]
    assert all(steps[-2:] == ["tokens", token] for steps in asked)


@pytest.mark.parametrize("status", [400, 404, 410])
async def test_a_token_that_is_gone(google_side: GoogleWorld, google: GoogleStore, status: int) -> None:
    google_side.play.sell(TOKEN, "plus")
    await google.fetch(PURCHASE)
    google_side.play.server.will(failure(status), failure(status))
    assert list(await google.fetch(PURCHASE)) == []
    with pytest.raises(EcholiaError, match="receipt_invalid"):
        await google.verify_receipt(TOKEN)


@pytest.mark.parametrize(
    ("answer", "reason", "retry_after_s"),
    [
        (failure(429), "overloaded", None),
        (Answered(503, headers={"Retry-After": "99999999999"}), "overloaded", 3600),
        (failure(500), "failed", None),
        (failure(403), "credentials", None),
        (Answered(307, headers={"Location": "http://127.0.0.1:1/"}), "failed", None),
        (Answered(200, b"<html>", "text/html"), "malformed", None),
        (Answered(200, b"[]"), "malformed", None),
        (Answered(204), "malformed", None),
        (HANG_UP, "unreachable", None),
    ],
)
async def test_a_store_that_does_not_answer(
    google_side: GoogleWorld, google: GoogleStore, answer: Answered, reason: str, retry_after_s: int | None
) -> None:
    google_side.play.sell(TOKEN, "plus")
    await google.fetch(PURCHASE)
    google_side.play.server.will(answer)
    with pytest.raises(StoreUnavailable) as raised:
        await google.fetch(PURCHASE)
    assert (raised.value.reason, raised.value.retry_after_s) == (reason, retry_after_s)
    assert (await snapshot(google)).state == "active"


@pytest.mark.parametrize(
    "changed",
    [
        {"subscriptionState": None}, {"subscriptionState": 4}, {"lineItems": {}}, {"lineItems": [7]},
        {"startTime": "yesterday"}, {"startTime": "2026-01-01T00:00:00"}, {"linkedPurchaseToken": 7},
        {"lineItems": [{"productId": "plus", "expiryTime": 17}]}, {"externalAccountIdentifiers": "x"},
    ],
)  # fmt: skip
async def test_mistyped_field(google_side: GoogleWorld, google: GoogleStore, changed: dict[str, Any]) -> None:
    google_side.play.sell(TOKEN, "plus", **changed)
    with pytest.raises(StoreUnavailable) as raised:
        await google.fetch(PURCHASE)
    assert raised.value.reason == "malformed"


async def test_one_access_token_for_many_requests(google_side: GoogleWorld, google: GoogleStore) -> None:
    google_side.play.sell(TOKEN, "plus")
    for _ in range(5):
        await google.fetch(PURCHASE)
    assert [one.path for one in google_side.play.server.asked].count("/token") == 1
    google_side.play.forget_access()
    with pytest.raises(StoreUnavailable):
        await google.fetch(PURCHASE)
    assert (await snapshot(google)).state == "active"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answered.of({"error": "invalid_grant"}, 400), "credentials"),
        (Answered(200, b"no JSON"), "malformed"),
        (Answered(200, b"{}"), "credentials"),
        (Answered(503), "overloaded"),
        (HANG_UP, "unreachable"),
    ],
)
async def test_google_does_not_let_us_in(
    google_side: GoogleWorld, google: GoogleStore, answer: Answered, reason: str
) -> None:
    google_side.play.sell(TOKEN, "plus")
    google_side.play.server.will(answer)
    with pytest.raises(StoreUnavailable) as raised:
        await google.fetch(PURCHASE)
    assert raised.value.reason == reason
    assert len(google_side.play.server.asked) == 1
    assert (await snapshot(google)).state == "active"


async def test_what_google_need_not_be_told(google_side: GoogleWorld, google: GoogleStore) -> None:
    await google.link(PURCHASE, ACCOUNT)
    assert await google.missed(0, 1) == ((), "")
    assert google_side.play.server.asked == []


@pytest.mark.parametrize("key_file", ["", "{}", "[]", "null", '{"client_email": 7}'])
def test_a_key_file_that_is_none(google_side: GoogleWorld, key_file: str) -> None:
    with pytest.raises(EcholiaError, match="settings_invalid"):
        GoogleStore(google_side.access(service_account=key_file), google_side.clock)
