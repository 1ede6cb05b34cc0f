"""Apple's notifications: all that is nested in one is verified, and said as facts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest

from echolia.core.errors import EcholiaError
from echolia.core.purchases import AppleRenewal, AppleTransaction, PurchaseKey
from echolia.fake_stores.authority import Authority
from echolia.fake_stores.subscription import DAY_MS
from echolia.payments.stores.apple import AppleStore
from echolia.payments.stores.port import Notification
from tests.support.app_store import AppleWorld

TOKEN = "7f1b0e0a-3c1d-4b3e-9f6a-2f6d1c0b9a81"


async def told(apple: AppleStore, signed: str) -> Notification:
    """What a webhook with it says."""
    return await apple.verify_notification({}, json.dumps({"signedPayload": signed}).encode())


async def refused(apple: AppleStore, body: bytes) -> str:
    """The code with which it is refused."""
    with pytest.raises(EcholiaError) as raised:
        await apple.verify_notification({}, body)
    return raised.value.code


def nested(world: AppleWorld, **changed: Any) -> Mapping[str, Any]:
    """The values of a notification with other nested things."""
    app = {"bundleId": world.store.app.bundle_id, "appAppleId": world.store.app.app_apple_id}
    return {"data": {**app, "environment": "Production", **changed}}


async def test_a_renewal_is_told_in_facts(world: AppleWorld, apple: AppleStore) -> None:
    sold = world.store.sell("plus.monthly", TOKEN.upper())
    sold.buy(world.clock())
    found = await told(apple, world.store.notify("DID_RENEW", about=sold))
    assert (found.kind, found.environment, found.signed_ms) == ("DID_RENEW", "production", world.clock())
    transaction, renewal = found.facts
    assert transaction == AppleTransaction(
        "production", "1000001", "1000000", "plus.monthly", world.clock(), sold.last["expiresDate"],
        world.clock(), app_account_token=TOKEN,
    )  # fmt: skip
    assert renewal == AppleRenewal(
        "production", "1000000", "plus.monthly", True, world.clock(), auto_renew_product_id="plus.monthly"
    )
    assert found.fetch == ()
    assert "704000000000000001" not in str([asdict(fact) for fact in found.facts])  # names a person


async def test_everything_that_a_transaction_may_say(world: AppleWorld, apple: AppleStore) -> None:
    sold = world.store.sell("plus.monthly")
    sold.last.update(offerType=1, offerDiscountType="FREE_TRIAL", inAppOwnershipType="FAMILY_SHARED")
    sold.last.update(isUpgraded=True, revocationDate=world.clock())
    sold.renewal.update(priceIncreaseStatus=0, autoRenewStatus=0, autoRenewProductId="pro.monthly")
    found = await told(apple, world.store.notify("REVOKE", about=sold))
    transaction, renewal = found.facts
    assert isinstance(transaction, AppleTransaction) and isinstance(renewal, AppleRenewal)
    assert (transaction.offer, transaction.is_trial, transaction.ownership) == (
        "introductory", True, "family_shared",
    )  # fmt: skip
    assert (transaction.is_upgraded, transaction.revoked_ms) == (True, world.clock())
    assert (renewal.price_increase, renewal.auto_renews) == ("pending", False)
    assert renewal.auto_renew_product_id == "pro.monthly"


async def test_what_is_no_subscription_has_no_end(world: AppleWorld, apple: AppleStore) -> None:
    sold = world.store.sell("book")
    sold.last["type"] = "Non-Consumable"
    del sold.last["expiresDate"]
    [fact, _] = (await told(apple, world.store.notify("ONE_TIME_CHARGE", about=sold))).facts
    assert isinstance(fact, AppleTransaction) and fact.expires_ms is None


async def test_a_grace_period_without_its_end_is_asked_about(world: AppleWorld, apple: AppleStore) -> None:
    sold = world.store.sell("plus.monthly")
    sold.fail_to_renew()
    found = await told(apple, world.store.notify("DID_FAIL_TO_RENEW", "GRACE_PERIOD", sold))
    assert found.kind == "DID_FAIL_TO_RENEW/GRACE_PERIOD"
    assert found.fetch == (PurchaseKey("production", "1000000"),)
    sold.fail_to_renew(world.clock() + DAY_MS)
    found = await told(apple, world.store.notify("DID_FAIL_TO_RENEW", "GRACE_PERIOD", sold))
    assert found.fetch == ()


async def test_unknown_product_and_notification_type(world: AppleWorld, apple: AppleStore) -> None:
    sold = world.store.sell("a.product.nobody.knows")
    found = await told(apple, world.store.notify("SOMETHING_NEW", "AND_MORE", sold))
    assert found.kind == "SOMETHING_NEW/AND_MORE" and len(found.facts) == 2
    assert (await told(apple, world.store.notify("says <b>", about=sold))).kind == "unknown"


@pytest.mark.parametrize(
    "about",
    [
        {"summary": {"environment": "Production"}},
        {"externalPurchaseToken": {"externalPurchaseId": "b2158121-7af9-49d4-9561-1f588205523e"}},
        {"appData": {"environment": "Production"}},
    ],
)
async def test_what_is_about_no_purchase(
    world: AppleWorld, apple: AppleStore, about: dict[str, dict[str, Any]]
) -> None:
    [(name, said)] = about.items()
    said |= {"bundleId": world.store.app.bundle_id, "appAppleId": world.store.app.app_apple_id}
    changed: dict[str, Any] = {name: said, "data": None}
    found = await told(apple, world.store.notify("METADATA_UPDATE", **changed))
    assert found.facts == ()


async def test_a_notification_for_another_app(world: AppleWorld, apple: AppleStore) -> None:
    sold = world.store.sell("plus.monthly")
    mine = world.store.sign(sold.last)
    for changed in ({"bundleId": "com.example.other"}, {"appAppleId": 77}, {"appAppleId": None}):
        payload = nested(world, signedTransactionInfo=mine, **changed)
        signed = world.store.notify("DID_RENEW", **payload)
        assert await refused(apple, json.dumps({"signedPayload": signed}).encode()) == "notification_invalid"


async def test_outer_valid_with_nested_forged(world: AppleWorld, apple: AppleStore) -> None:
    sold = world.store.sell("plus.monthly")
    forger = Authority(world.responder.server.url).signer()
    good = {"transaction": world.store.sign(sold.last), "renewal": world.store.sign(sold.renewal)}
    forged = {
        "transaction": forger.sign({**sold.last, "signedDate": world.clock()}),
        "renewal": forger.sign({**sold.renewal, "signedDate": world.clock()}),
    }
    for transaction, renewal in (
        (forged["transaction"], good["renewal"]),
        (good["transaction"], forged["renewal"]),
        (good["transaction"][:-4] + "AAAA", good["renewal"]),
        ("", good["renewal"]),
    ):
        payload = nested(world, signedTransactionInfo=transaction, signedRenewalInfo=renewal)
        signed = world.store.notify("DID_RENEW", **payload)
        assert await refused(apple, json.dumps({"signedPayload": signed}).encode()) == "notification_invalid"


async def test_renewal_info_of_another_purchase(world: AppleWorld, apple: AppleStore) -> None:
    """Renewal infos name no app: one of another app, rightly signed by Apple, must not count."""
    mine, other = world.store.sell("plus.monthly"), world.store.sell("pro.monthly")
    for renewal in (other.renewal, {**mine.renewal, "environment": "Sandbox"}):
        payload = nested(
            world,
            signedTransactionInfo=world.store.sign(mine.last),
            signedRenewalInfo=world.store.sign(renewal),
        )
        signed = world.store.notify("DID_RENEW", **payload)
        assert await refused(apple, json.dumps({"signedPayload": signed}).encode()) == "notification_invalid"


async def test_renewal_info_alone(world: AppleWorld, apple: AppleStore) -> None:
    sold = world.store.sell("plus.monthly")
    payload = nested(world, signedRenewalInfo=world.store.sign(sold.renewal))
    signed = world.store.notify("DID_RENEW", **payload)
    assert await refused(apple, json.dumps({"signedPayload": signed}).encode()) == "notification_invalid"


async def test_nested_from_the_other_environment(world: AppleWorld) -> None:
    apple = AppleStore(world.access(environments=("production", "sandbox")), world.clock)
    sold = world.store.sell("plus.monthly")
    sandbox = world.store.sign({**sold.last, "environment": "Sandbox"})
    signed = world.store.notify("DID_RENEW", **nested(world, signedTransactionInfo=sandbox))
    assert await refused(apple, json.dumps({"signedPayload": signed}).encode()) == "notification_invalid"
    await apple.close()


@pytest.mark.parametrize(
    "changed",
    [
        {"notificationType": None},
        {"notificationType": 7},
        {"notificationUUID": ""},
        {"notificationUUID": "x" * 65},
        {"notificationUUID": "../etc"},
        {"subtype": ["UPGRADE"]},
        {"data": "text"},
        {"data": None},
        {"signedDate": None},
    ],
)
async def test_mistyped_signed_field(
    world: AppleWorld, apple: AppleStore, changed: dict[str, object]
) -> None:
    payload = {
        "notificationType": "DID_RENEW", "notificationUUID": "a-b", "signedDate": world.clock(),
        **nested(world), **changed,
    }  # fmt: skip
    signed = world.store.signer.sign(payload)
    assert await refused(apple, json.dumps({"signedPayload": signed}).encode()) == "notification_invalid"


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"null", b'{"signedPayload":7}', b'{"signedPayload":""}', b"\xff", b"[" * 200_000],
)
async def test_a_body_of_another_form(apple: AppleStore, body: bytes) -> None:
    assert await refused(apple, body) == "notification_invalid"
