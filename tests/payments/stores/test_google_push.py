"""A push is Google's, as this server's own service account and by its own subscription, or it is refused."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import jwt
import pytest

from echolia.core.errors import EcholiaError
from echolia.core.purchases import GoogleVoided, PurchaseKey
from echolia.fake_stores.google_keys import SigningKeys, rsa_key
from echolia.fake_stores.loopback import HANG_UP, Answered
from echolia.fake_stores.pubsub import Pushed, play_notification
from echolia.payments.stores.google import GoogleStore
from echolia.payments.stores.google_push import PushTokens
from echolia.payments.stores.port import Notification
from tests.support.google_play import GoogleWorld

TOKEN = "purchase.AO-J1Oz"


async def told(google: GoogleStore, pushed: Pushed) -> Notification:
    """What a push says."""
    return await google.verify_notification(pushed.headers, pushed.body)


async def refused(google: GoogleStore, pushed: Pushed) -> str:
    """The code with which it is refused."""
    with pytest.raises(EcholiaError) as raised:
        await told(google, pushed)
    return raised.value.code


async def test_a_push_says_what_to_ask_for(google_side: GoogleWorld, google: GoogleStore) -> None:
    found = await told(google, google_side.renewed(TOKEN, 4, message_id="136969346945"))
    assert found == Notification(
        "136969346945", "subscription/4", "production", google_side.clock(),
        fetch=(PurchaseKey("production", TOKEN),),
    )  # fmt: skip
    again = await told(google, google_side.renewed(TOKEN, 4, message_id="136969346945"))
    assert again.id == found.id


NOW = int(time.time())  # when the tests were collected, which may be long before they run
WRONG: dict[str, dict[str, Any]] = {
    "audience": {"aud": "https://other.example/payments/webhook/google"},
    "audience in a list": {"aud": ["https://echolia.example/payments/webhook/google", "other"]},
    "no audience": {"aud": None},
    "issuer": {"iss": "https://accounts.example"},
    "issuer without its scheme": {"iss": "accounts.google.com"},
    "no issuer": {"iss": None},
    "expired": {"exp": NOW - 120, "iat": NOW - 4000},
    "no end": {"exp": None},
    "end of another type": {"exp": "never"},
    "from the future": {"iat": NOW + 86_400},
    "e-mail": {"email": "other@example.iam.gserviceaccount.com"},
    "e-mail in other letters": {"email": "PUSH@example.iam.gserviceaccount.com"},
    "no e-mail": {"email": None},
    "e-mail not verified": {"email_verified": False},
    "e-mail verified as text": {"email_verified": "true"},
    "nothing of verified": {"email_verified": None},
    "no subject": {"sub": None},
}


@pytest.mark.parametrize("name", WRONG)
async def test_oidc_wrong_in_one_claim(google_side: GoogleWorld, google: GoogleStore, name: str) -> None:
    token = google_side.play.keys.sign(google_side.pubsub.claims(**WRONG[name]))
    assert await refused(google, google_side.pubsub.push({}, token=token)) == "notification_invalid"


async def test_oidc_signed_by_others(google_side: GoogleWorld, google: GoogleStore) -> None:
    claims = google_side.pubsub.claims()
    ours = google_side.play.keys
    public = str(ours.document()["keys"][0]["n"])
    header = {"kid": ours.key_id}
    for token in (
        jwt.encode(claims, rsa_key("somebody else"), algorithm="RS256", headers=header),
        jwt.encode(claims, rsa_key(ours.key_id), algorithm="RS256", headers={"kid": "unknown"}),
        jwt.encode(claims, rsa_key(ours.key_id), algorithm="RS256"),
        jwt.encode(claims, rsa_key(ours.key_id), algorithm="RS512", headers=header),
        jwt.encode(claims, "", algorithm="none", headers=header),
        jwt.encode(claims, public, algorithm="HS256", headers=header),
        jwt.encode(claims, rsa_key(ours.key_id), algorithm="RS256", headers={"kid": ours.key_id + "\n"}),
    ):
        pushed = google_side.pubsub.push({}, token=token)
        assert await refused(google, pushed) == "notification_invalid"


NO_TOKEN = [
    b"", b"Bearer", b"Bearer ", b"Basic x", b"Bearer a.b.c", b"Bearer \xff", b"Bearer " + b"x" * 9000,
]  # fmt: skip


@pytest.mark.parametrize("authorization", NO_TOKEN)
async def test_oidc_missing(google_side: GoogleWorld, google: GoogleStore, authorization: bytes) -> None:
    pushed = google_side.renewed(TOKEN)
    for headers in ({}, {b"authorization": authorization}):
        assert await refused(google, replace(pushed, headers=headers)) == "notification_invalid"


async def test_made_up_keys_do_not_make_us_ask_google(google_side: GoogleWorld, google: GoogleStore) -> None:
    await told(google, google_side.renewed(TOKEN))
    claims = google_side.pubsub.claims()
    for number in range(20):
        token = jwt.encode(claims, rsa_key("x"), algorithm="RS256", headers={"kid": f"made up {number}"})
        assert await refused(google, google_side.pubsub.push({}, token=token)) == "notification_invalid"
    assert [one.path for one in google_side.play.server.asked] == ["/certs"]


def test_keys_that_change_are_found(google_side: GoogleWorld) -> None:
    pushes = PushTokens(google_side.access(), cooldown_s=0)
    assert pushes.admits(google_side.renewed(TOKEN).headers)
    google_side.play.keys.rotate()
    assert pushes.admits(google_side.renewed(TOKEN).headers)
    former = SigningKeys().sign(google_side.pubsub.claims())
    assert not pushes.admits(google_side.pubsub.push({}, token=former).headers)


@pytest.mark.parametrize("answer", [HANG_UP, Answered(503), Answered(200, b"["), Answered(200, b"{}")])
async def test_keys_that_cannot_be_had(
    google_side: GoogleWorld, google: GoogleStore, answer: Answered
) -> None:
    google_side.play.server.will(answer)
    assert await refused(google, google_side.renewed(TOKEN)) == "store_unavailable"
    assert (await told(google, google_side.renewed(TOKEN))).kind == "subscription/2"


async def test_wrong_subscription(google_side: GoogleWorld, google: GoogleStore) -> None:
    other = replace(google_side.pubsub, subscription="projects/example/subscriptions/other")
    told_of = play_notification(google_side.play.package_name, google_side.clock(), testNotification={})
    assert await refused(google, other.push(told_of)) == "notification_invalid"


async def test_wrong_package(google_side: GoogleWorld, google: GoogleStore) -> None:
    other = play_notification("com.example.other", google_side.clock(), testNotification={"version": "1.0"})
    assert await refused(google, google_side.pubsub.push(other)) == "notification_invalid"


GARBAGE: dict[str, object] = {
    "no JSON": b"\xff\xfe",
    "nothing": b"",
    "a list": [],
    "no package": {},
    "no date": {"packageName": "com.example.journal"},
    "a date of another form": {"packageName": "com.example.journal", "eventTimeMillis": "soon"},
    "mistyped": {
        "packageName": "com.example.journal", "eventTimeMillis": "1", "subscriptionNotification": [],
    },
    "no token": {
        "packageName": "com.example.journal", "eventTimeMillis": "1",
        "subscriptionNotification": {"notificationType": 4},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", GARBAGE)
async def test_valid_signature_and_a_garbage_body(
    google_side: GoogleWorld, google: GoogleStore, name: str
) -> None:
    found = await told(google, google_side.pubsub.push(GARBAGE[name], message_id="77"))
    assert (found.id, found.kind, found.unreadable, found.fetch) == ("77", "unknown", True, ())


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"{}", b"[" * 200_000])
async def test_valid_signature_and_no_envelope(
    google_side: GoogleWorld, google: GoogleStore, body: bytes
) -> None:
    pushed = google_side.pubsub.sent(body)
    found = await told(google, pushed)
    assert found.unreadable and found.id == (await told(google, pushed)).id and len(found.id) == 64


async def test_each_kind_of_event(google_side: GoogleWorld, google: GoogleStore) -> None:
    async def said(**about: Any) -> Notification:
        event = play_notification(google_side.play.package_name, google_side.clock(), **about)
        return await told(google, google_side.pubsub.push(event))

    assert (await said(testNotification={"version": "1.0"})).kind == "test"
    one_time = await said(oneTimeProductNotification={"notificationType": 1, "purchaseToken": TOKEN})
    assert (one_time.kind, one_time.fetch) == ("one_time/1", ())
    assert (await said(subscriptionNotification={"notificationType": 99, "purchaseToken": TOKEN})).fetch
    assert (await said(somethingNew={})).kind == "unknown"
    voided = {"purchaseToken": TOKEN, "orderId": "GPA.1", "productType": 1, "refundType": 1}
    found = await said(voidedPurchaseNotification=voided)
    assert found.kind == "voided/1" and found.fetch == (PurchaseKey("production", TOKEN),)
    assert found.facts == (GoogleVoided(TOKEN, "GPA.1", google_side.clock()),)
    partly = await said(voidedPurchaseNotification={**voided, "refundType": 2})
    assert partly.facts == () and partly.fetch
    assert (await said(voidedPurchaseNotification={**voided, "productType": 2})).fetch == ()
