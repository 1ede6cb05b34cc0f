"""The App Store: what it signs, and its Server API on loopback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from echolia.fake_stores.authority import Authority, Signer
from echolia.fake_stores.loopback import Answered, Asked, LoopbackServer
from echolia.fake_stores.subscription import AppleApp, AppleSubscription

PAGE: Final = 20
_AUDIENCE: Final = "appstoreconnect-v1"
_ERRORS: Final = {
    4000006: "Invalid transaction id.",
    4000013: "Invalid request. The end date precedes the start date.",
    4000014: "Invalid request. The pagination token is invalid.",
    4000183: "Invalid request. The app account token field must be a valid UUID.",
    4000187: "Invalid request. The transaction ID provided is not an original transaction ID.",
    4040010: "Transaction id not found.",
    4290000: "Rate limit exceeded.",
    5000000: "An unknown error occurred.",
}


def failure(code: int, retry_after: str = "") -> Answered:
    """One of Apple's errors by its number, as its API answers it."""
    document = {"errorCode": code, "errorMessage": _ERRORS[code]}
    answered = Answered.of(document, code // 10_000)
    return (
        Answered(answered.status, answered.body, headers={"Retry-After": retry_after})
        if retry_after
        else answered
    )


class AppStore:
    """One app in one environment. What it knows is in its attributes; `server` answers by them."""

    def __init__(
        self, authority: Authority, clock_ms: Callable[[], int], app: AppleApp | None = None
    ) -> None:
        self.app = app or AppleApp()
        self.signer: Signer = authority.signer()
        self.issuer_id = str(uuid4())
        self.key_id = "2X9R4HXF34"
        self.subscriptions: list[AppleSubscription] = []
        self.notifications: list[tuple[str, bool]] = []
        self.orders: dict[str, list[str]] = {}
        self.server = LoopbackServer(self._answer)
        self._clock_ms = clock_ms
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def private_key(self) -> str:
        """The key of its API, as the file that Apple gives: PEM."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def sell(self, product_id: str, account_token: str = "", original_id: str = "") -> AppleSubscription:
        """A new subscription that begins now."""
        original_id = original_id or str(1_000_000 + 1000 * len(self.subscriptions))
        sold = AppleSubscription(self.app, original_id, product_id, self._clock_ms(), account_token)
        self.subscriptions.append(sold)
        return sold

    def sign(self, payload: Mapping[str, Any], signed_ms: int | None = None) -> str:
        """As the App Store signs: with its chain, and when."""
        signed_ms = self._clock_ms() if signed_ms is None else signed_ms
        return self.signer.sign({**payload, "signedDate": signed_ms})

    def notify(
        self,
        kind: str,
        subtype: str = "",
        about: AppleSubscription | None = None,
        *,
        transaction: Mapping[str, Any] | None = None,
        delivered: bool = True,
        **changed: Any,
    ) -> str:
        """A signed notification, kept in the history; `changed` are other values of its payload."""
        payload: dict[str, Any] = {
            "notificationType": kind,
            **({"subtype": subtype} if subtype else {}),
            "notificationUUID": str(uuid4()),
            "version": "2.0",
            "data": self._about(about, transaction),
            **changed,
        }
        signed = self.sign(payload)
        self.notifications.append((signed, delivered))
        return signed

    def _about(
        self, about: AppleSubscription | None, transaction: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        app: dict[str, Any] = {
            "appAppleId": self.app.app_apple_id,
            "bundleId": self.app.bundle_id,
            "bundleVersion": "1",
            "environment": self.app.environment,
        }
        if about is None:
            return app
        return {
            **app,
            "signedTransactionInfo": self.sign(transaction or about.last),
            "signedRenewalInfo": self.sign(about.renewal),
            "status": about.status(self._clock_ms()),
        }

    def _answer(self, asked: Asked) -> Answered:
        if not self._admits(asked.headers.get("authorization", "")):
            return Answered(401, b"Unauthenticated\n\nRequest ID: 0\n", "text/plain")
        match asked.method, asked.steps:
            case "GET", ["inApps", "v1", "transactions", transaction_id]:
                return self._transaction(transaction_id)
            case "GET", ["inApps", "v1", "subscriptions", transaction_id]:
                return self._statuses(transaction_id)
            case "POST", ["inApps", "v1", "notifications", "history"]:
                return self._history(asked)
            case "GET", ["inApps", "v2", "refund", "lookup", transaction_id]:
                return self._refunds(transaction_id, asked.first("revision"))
            case "PUT", ["inApps", "v1", "transactions", transaction_id, "appAccountToken"]:
                return self._set_account_token(transaction_id, asked.document().get("appAccountToken"))
            case "GET", ["inApps", "v1", "lookup", order_id]:
                return self._order(order_id)
            case _:
                return Answered(404)

    def _admits(self, authorization: str) -> bool:
        try:
            jwt.decode(
                authorization.removeprefix("Bearer "),
                self._key.public_key(),
                algorithms=["ES256"],
                audience=_AUDIENCE,
                issuer=self.issuer_id,
                options={"require": ["exp", "iss", "aud", "bid"]},
            )
        except jwt.PyJWTError:
            return False
        token = authorization.removeprefix("Bearer ")
        claims = jwt.decode(token, options={"verify_signature": False})
        return (
            claims["bid"] == self.app.bundle_id and jwt.get_unverified_header(token).get("kid") == self.key_id
        )

    def _found(self, transaction_id: str) -> tuple[AppleSubscription, dict[str, Any]] | None:
        for sold in self.subscriptions:
            for transaction in sold.transactions:
                if transaction["transactionId"] == transaction_id:
                    return sold, transaction
        return None

    def _transaction(self, transaction_id: str) -> Answered:
        if not transaction_id.isdecimal():
            return failure(4000006)
        found = self._found(transaction_id)
        return Answered.of({"signedTransactionInfo": self.sign(found[1])}) if found else failure(4040010)

    def _statuses(self, transaction_id: str) -> Answered:
        found = self._found(transaction_id)
        if found is None:
            return failure(4040010)
        sold = found[0]
        last = {
            "status": sold.status(self._clock_ms()),
            "originalTransactionId": sold.original_id,
            "signedTransactionInfo": self.sign(sold.last),
            "signedRenewalInfo": self.sign(sold.renewal),
        }
        group = {"subscriptionGroupIdentifier": "21000001", "lastTransactions": [last]}
        return Answered.of(
            {
                "environment": self.app.environment,
                "bundleId": self.app.bundle_id,
                "appAppleId": self.app.app_apple_id,
                "data": [group],
            }
        )

    def _history(self, asked: Asked) -> Answered:
        wanted = asked.document()
        first, last = wanted.get("startDate"), wanted.get("endDate")
        if not isinstance(first, int) or not isinstance(last, int) or first >= last:
            return failure(4000013)
        page = asked.first("paginationToken") or "page-0"
        if not page.removeprefix("page-").isdecimal():
            return failure(4000014)
        start = int(page.removeprefix("page-"))
        found = [
            signed
            for signed, delivered in self.notifications
            if first <= _signed_ms(signed) <= last and not (delivered and wanted.get("onlyFailures"))
        ]
        more = len(found) > start + PAGE
        attempts = [{"attemptDate": first, "sendAttemptResult": "TIMED_OUT"}]
        return Answered.of(
            {
                "paginationToken": f"page-{start + PAGE}",
                "hasMore": more,
                "notificationHistory": [
                    {"signedPayload": signed, "sendAttempts": attempts}
                    for signed in found[start : start + PAGE]
                ],
            }
        )

    def _refunds(self, transaction_id: str, revision: str) -> Answered:
        found = self._found(transaction_id)
        if found is None:
            return failure(4040010)
        refunded = [one for one in found[0].transactions if "revocationDate" in one]
        start = int(revision or 0)
        return Answered.of(
            {
                "signedTransactions": [self.sign(one) for one in refunded[start : start + PAGE]],
                "revision": str(start + PAGE),
                "hasMore": len(refunded) > start + PAGE,
            }
        )

    def _set_account_token(self, transaction_id: str, token: object) -> Answered:
        found = self._found(transaction_id)
        if found is None:
            return failure(4040010)
        if transaction_id != found[0].original_id:
            return failure(4000187)
        try:
            found[0].account_token = str(UUID(str(token)))
        except ValueError:
            return failure(4000183)
        for transaction in found[0].transactions:
            transaction["appAccountToken"] = found[0].account_token
        return Answered(200)

    def _order(self, order_id: str) -> Answered:
        found = [self._found(transaction_id) for transaction_id in self.orders.get(order_id, [])]
        signed = [self.sign(one[1]) for one in found if one]
        return Answered.of({"status": 0, "signedTransactions": signed} if signed else {"status": 1})


def _signed_ms(signed: str) -> int:
    claims = jwt.decode(signed, options={"verify_signature": False})
    return int(claims["signedDate"])
