"""Google Pub/Sub: pushes Google Play's notifications, with a token that says who pushes."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from echolia.fake_stores.google_keys import SigningKeys
from echolia.fake_stores.google_play import rfc3339


@dataclass(frozen=True, slots=True)
class Pushed:
    """A push as it arrives; header names are in lower case."""

    headers: Mapping[bytes, bytes] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(slots=True)
class PubSub:
    """A push subscription: to whom it speaks (`audience`) and as whom."""

    keys: SigningKeys = field(repr=False)
    audience: str = "https://echolia.example/payments/webhook/google"
    email: str = "push@example.iam.gserviceaccount.com"
    subscription: str = "projects/example/subscriptions/play"

    def claims(self, **changed: Any) -> dict[str, Any]:
        """What its token says; a value of None leaves the claim out."""
        now = int(time.time())
        claims = {
            "aud": self.audience,
            "azp": "113774264463038321964",
            "email": self.email,
            "email_verified": True,
            "exp": now + 3600,
            "iat": now,
            "iss": "https://accounts.google.com",
            "sub": "113774264463038321964",
            **changed,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def push(self, told: object, *, message_id: str = "", token: str = "", now_ms: int = 0) -> Pushed:
        """A push of `told`: bytes as they are, all else as JSON."""
        content = told if isinstance(told, bytes) else json.dumps(told).encode()
        message_id = message_id or str(uuid4().int % 10**16)
        moment = rfc3339(now_ms or int(time.time() * 1000))
        message = {
            "data": b64encode(content).decode(),
            "messageId": message_id,
            "message_id": message_id,
            "publishTime": moment,
            "publish_time": moment,
        }
        body = json.dumps({"message": message, "subscription": self.subscription}).encode()
        return self.sent(body, token)

    def sent(self, body: bytes, token: str = "") -> Pushed:
        """That body, with its token or another."""
        token = token or self.keys.sign(self.claims())
        headers = {b"authorization": b"Bearer " + token.encode(), b"content-type": b"application/json"}
        return Pushed(headers, body)


def play_notification(package_name: str, event_ms: int, **about: Any) -> dict[str, Any]:
    """What Google Play publishes; `about` is one of `subscriptionNotification`, `voidedPurchaseNotification`,
    `oneTimeProductNotification`, `testNotification`.
    """
    return {"version": "1.0", "packageName": package_name, "eventTimeMillis": str(event_ms), **about}
