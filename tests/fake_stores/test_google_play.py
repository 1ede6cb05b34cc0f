"""The fake Google Play speaks as the real one does: Google's own client is let in and answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2 import id_token, service_account

from echolia.fake_stores.google_keys import SigningKeys, pem, rsa_key
from echolia.fake_stores.google_play import SCOPE, failure
from tests.support.google_play import GoogleWorld

DAY_MS = 86_400_000


def signed_in(world: GoogleWorld, scope: str = SCOPE, **changed: str) -> AuthorizedSession:
    """A session of Google's own client, as the service account or as another."""
    key_file = {**json.loads(world.play.service_account), **changed}
    credentials = service_account.Credentials.from_service_account_info(key_file, scopes=[scope])  # type: ignore[no-untyped-call]
    return AuthorizedSession(credentials)  # type: ignore[no-untyped-call]


@pytest.fixture
def session(google_side: GoogleWorld) -> Iterator[AuthorizedSession]:
    """Signed in."""
    with signed_in(google_side) as session:
        yield session


def place(world: GoogleWorld, rest: str, package: str = "com.example.journal") -> str:
    """An address of the API."""
    return f"{world.play.server.url}/androidpublisher/v3/applications/{package}/purchases/{rest}"


def test_a_purchase_is_sold_and_acknowledged(google_side: GoogleWorld, session: AuthorizedSession) -> None:
    google_side.play.sell("token", "plus", outOfAppPurchaseContext={"expiredPurchaseToken": "former"})
    address = place(google_side, "subscriptionsv2/tokens/token")
    before = session.get(address).json()
    assert before["subscriptionState"] == "SUBSCRIPTION_STATE_ACTIVE"
    assert before["acknowledgementState"] == "ACKNOWLEDGEMENT_STATE_PENDING"
    assert before["outOfAppPurchaseContext"] == {"expiredPurchaseToken": "former"}
    done = session.post(place(google_side, "subscriptions/plus/tokens/token:acknowledge"), json={})
    assert done.status_code == 204
    after = session.get(address).json()
    assert after["acknowledgementState"] == "ACKNOWLEDGEMENT_STATE_ACKNOWLEDGED"
    assert "outOfAppPurchaseContext" not in after


def test_voided_purchases_in_pages(google_side: GoogleWorld, session: AuthorizedSession) -> None:
    for number in range(5):
        google_side.play.void(f"token {number}", f"GPA.{number}")
    orders: list[str] = []
    asked: dict[str, Any] = {"type": 1, "startTime": google_side.clock() - 1}
    sizes = []
    while True:
        answer = session.get(place(google_side, "voidedpurchases"), params=asked).json()
        sizes.append(len(answer["voidedPurchases"]))
        orders += [row["orderId"] for row in answer["voidedPurchases"]]
        if "tokenPagination" not in answer:
            break
        asked["token"] = answer["tokenPagination"]["nextPageToken"]
    assert sizes == [2, 2, 1] and orders == [f"GPA.{number}" for number in range(5)]
    only_products = session.get(place(google_side, "voidedpurchases"), params={"type": 0}).json()
    assert only_products == {}


@pytest.mark.parametrize(
    "rest",
    ["subscriptionsv2/tokens/other", "nothing", "subscriptions/pro/tokens/token:acknowledge"],
)
def test_what_it_does_not_know(google_side: GoogleWorld, session: AuthorizedSession, rest: str) -> None:
    google_side.play.sell("token", "plus")
    send = session.post if rest.endswith(":acknowledge") else session.get
    assert send(place(google_side, rest)).status_code == 404
    known = place(google_side, "subscriptionsv2/tokens/token", package="com.example.other")
    assert session.get(known).status_code == 404


def test_who_is_let_in(google_side: GoogleWorld) -> None:
    others_key = pem(rsa_key("somebody else"))
    strangers = [
        signed_in(google_side, private_key=others_key), signed_in(google_side, client_email="other@x"),
        signed_in(google_side, scope="https://www.googleapis.com/auth/drive"),
    ]  # fmt: skip
    for stranger in strangers:
        with stranger, pytest.raises(RefreshError):
            stranger.get(place(google_side, "subscriptionsv2/tokens/token"))
    assert {one.path for one in google_side.play.server.asked} == {"/token"}


@pytest.mark.parametrize("status", [429, 503])
def test_it_fails_on_demand(google_side: GoogleWorld, session: AuthorizedSession, status: int) -> None:
    google_side.play.sell("token", "plus")
    address = place(google_side, "subscriptionsv2/tokens/token")
    assert session.get(address).status_code == 200
    google_side.play.server.will(failure(status))
    assert session.get(address).status_code == status
    assert session.get(address).status_code == 200


def test_a_push_says_who_pushes(google_side: GoogleWorld) -> None:
    def verified(headers: Any) -> dict[str, Any]:
        token = headers[b"authorization"].partition(b" ")[2]
        http = Request()
        with http.session:
            claims = id_token.verify_token(
                token, http, google_side.pubsub.audience, google_side.play.certs_url
            )
        return dict(claims)

    pushed = google_side.renewed("token")
    claims = verified(pushed.headers)
    assert (claims["email"], claims["email_verified"]) == (google_side.pubsub.email, True)
    google_side.play.keys.rotate()
    with pytest.raises(Exception, match="google-key-0"):
        verified({b"authorization": b"Bearer " + SigningKeys().sign(claims).encode()})
