"""Google Play: its Developer API, the token endpoint that lets a service account in, and Google's keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs
from uuid import uuid4

import jwt

from echolia.fake_stores.google_keys import SigningKeys, pem, rsa_key
from echolia.fake_stores.loopback import Answered, Asked, LoopbackServer

PAGE: Final = 2
SCOPE: Final = "https://www.googleapis.com/auth/androidpublisher"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ACCESS_S: Final = 3599
_VOIDED_MS: Final = 30 * 86_400_000
# What assertions are for, wherever the endpoint is.
_AUDIENCE: Final = "https://oauth2.googleapis.com/token"


def failure(status: int, reason: str = "") -> Answered:
    """An error as Google's APIs answer it."""
    told = {"message": "It failed.", "domain": "androidpublisher", "reason": reason or "failed"}
    return Answered.of({"error": {"code": status, "message": "It failed.", "errors": [told]}}, status)


def rfc3339(milliseconds: int) -> str:
    """A moment as Google writes it."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class GooglePlay:
    """One app. What it knows is in its attributes; `server` answers by them.

    `purchases` are resources of `purchases.subscriptionsv2` by token. `voided` are rows of
    `purchases.voidedpurchases`, given `page_size` at a time.
    """

    def __init__(self, clock_ms: Callable[[], int], package_name: str = "com.example.journal") -> None:
        self.package_name = package_name
        self.keys = SigningKeys()
        self.client_email = "echolia@example.iam.gserviceaccount.com"
        self.purchases: dict[str, dict[str, Any]] = {}
        self.voided: list[dict[str, Any]] = []
        self.page_size = PAGE
        self.server = LoopbackServer(self._answer)
        self._clock_ms = clock_ms
        self._granted: set[str] = set()

    @property
    def service_account(self) -> str:
        """The key file of the service account: JSON."""
        return json.dumps(
            {
                "type": "service_account",
                "project_id": "example",
                "private_key_id": "0",
                "private_key": pem(rsa_key("service account")),
                "client_email": self.client_email,
                "client_id": "1",
                "token_uri": self.server.url + "/token",
            }
        )

    @property
    def certs_url(self) -> str:
        """Where Google's public keys are."""
        return self.server.url + "/certs"

    def sell(
        self, token: str, product_id: str, *, days: int = 30, account_token: str = "", **changed: Any
    ) -> dict[str, Any]:
        """A subscription that is active; `changed` are other values of its resource."""
        now_ms = self._clock_ms()
        line = {
            "productId": product_id,
            "expiryTime": rfc3339(now_ms + days * 86_400_000),
            "latestSuccessfulOrderId": f"GPA.{token}",
            "autoRenewingPlan": {"autoRenewEnabled": True},
            "offerDetails": {"basePlanId": "monthly"},
        }
        self.purchases[token] = {
            "kind": "androidpublisher#subscriptionPurchaseV2",
            "startTime": rfc3339(now_ms),
            "regionCode": "US",
            "subscriptionState": "SUBSCRIPTION_STATE_ACTIVE",
            "latestOrderId": f"GPA.{token}",
            "acknowledgementState": "ACKNOWLEDGEMENT_STATE_PENDING",
            "lineItems": [line],
            **(
                {"externalAccountIdentifiers": {"obfuscatedExternalAccountId": account_token}}
                if account_token
                else {}
            ),
            **changed,
        }
        return self.purchases[token]

    def void(self, token: str, order_id: str) -> None:
        """An order is taken back now."""
        self.voided.append(
            {
                "kind": "androidpublisher#voidedPurchase",
                "purchaseToken": token,
                "orderId": order_id,
                "purchaseTimeMillis": str(self._clock_ms() - 1),
                "voidedTimeMillis": str(self._clock_ms()),
                "voidedSource": 0,
                "voidedReason": 0,
            }
        )

    def forget_access(self) -> None:
        """No access token that was given is good any more."""
        self._granted.clear()

    def _answer(self, asked: Asked) -> Answered:
        match asked.method, asked.steps:
            case "GET", ["certs"]:
                return Answered.of(self.keys.document())
            case "POST", ["token"]:
                return self._let_in(parse_qs(asked.body.decode()))
            case _, ["androidpublisher", "v3", "applications", package, "purchases", *rest]:
                access = asked.headers.get("authorization", "").removeprefix("Bearer ")
                if access not in self._granted:
                    return failure(401, "authError")
                if package != self.package_name:
                    return failure(404, "applicationNotFound")
                return self._purchases(rest, asked)
            case _:
                return failure(404)

    def _let_in(self, form: Mapping[str, list[str]]) -> Answered:
        assertion = form.get("assertion", [""])[0]
        try:
            claims = jwt.decode(
                assertion,
                rsa_key("service account").public_key(),
                algorithms=["RS256"],
                audience=_AUDIENCE,
                issuer=self.client_email,
                options={"require": ["exp", "iat", "iss", "aud", "scope"]},
            )
        except jwt.PyJWTError:
            claims = {}
        if form.get("grant_type") != [_GRANT] or claims.get("scope") != SCOPE:
            return Answered.of({"error": "invalid_grant", "error_description": "Invalid JWT"}, 400)
        token = f"ya29.{uuid4()}"
        self._granted.add(token)
        return Answered.of({"access_token": token, "expires_in": _ACCESS_S, "token_type": "Bearer"})

    def _purchases(self, steps: list[str], asked: Asked) -> Answered:
        match asked.method, steps:
            case "GET", ["subscriptionsv2", "tokens", token]:
                return self._subscription(token)
            case "POST", ["subscriptions", product_id, "tokens", called]:
                token, _, action = called.rpartition(":")
                return self._acknowledge(token, product_id) if action == "acknowledge" else failure(404)
            case "GET", ["voidedpurchases"]:
                return self._voided(asked)
            case _:
                return failure(404)

    def _subscription(self, token: str) -> Answered:
        found = self.purchases.get(token)
        return Answered.of(found) if found is not None else failure(404, "purchaseTokenNotFound")

    def _acknowledge(self, token: str, product_id: str) -> Answered:
        """Acknowledging erases what the purchase said of how it came about."""
        found = self.purchases.get(token)
        if found is None or product_id not in {line["productId"] for line in found["lineItems"]}:
            return failure(404, "purchaseTokenNotFound")
        if found["subscriptionState"] == "SUBSCRIPTION_STATE_PENDING":
            return failure(400, "invalidPurchaseState")
        found["acknowledgementState"] = "ACKNOWLEDGEMENT_STATE_ACKNOWLEDGED"
        found.pop("outOfAppPurchaseContext", None)
        return Answered(204)

    def _voided(self, asked: Asked) -> Answered:
        first, last = int(asked.first("startTime") or self._clock_ms()), int(asked.first("endTime") or 2**53)
        if first < self._clock_ms() - _VOIDED_MS:
            return failure(400, "invalidStartTime")
        if asked.first("type") != "1":  # without it, subscriptions are left out
            return Answered.of({})
        rows = [row for row in self.voided if first <= int(row["voidedTimeMillis"]) <= last]
        start = int(asked.first("token") or 0)
        end = start + self.page_size
        answer: dict[str, Any] = {"voidedPurchases": rows[start:end]}
        if end < len(rows):
            answer["tokenPagination"] = {"nextPageToken": str(end)}
        return Answered.of(answer)
