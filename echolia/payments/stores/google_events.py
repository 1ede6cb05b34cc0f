"""What Google Play publishes to its developers, read from a push that was verified."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from hashlib import sha256
from typing import Final

from echolia.core.purchases import GoogleVoided, PurchaseKey
from echolia.payments.stores.access import GoogleAccess
from echolia.payments.stores.fields import Fields, Malformed
from echolia.payments.stores.json_object import json_object
from echolia.payments.stores.port import Notification

_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_SUBSCRIPTION: Final = 1  # of `productType`
_FULL: Final = 1  # of `refundType`


class NotOurs(Exception):
    """It came by another subscription, or is about another app."""


def event_of(body: bytes, access: GoogleAccess, now_ms: int) -> Notification:
    """What a push says. One that nobody can read is `unreadable`: whoever pushed was verified, and would push
    it again for a week. Raises: `NotOurs`.
    """
    identity = sha256(body).hexdigest()
    try:
        envelope = Fields(json_object(body))
        if envelope.text("subscription") != access.push_subscription:
            raise NotOurs
        message = envelope.object_or_none("message") or Fields({})
        said_id = message.text("messageId")
        identity = said_id if _ID.fullmatch(said_id) else identity
        said = Fields(json_object(_decoded(message.long_text_or_none("data"))))
        if said.text("packageName") != access.package_name:
            raise NotOurs
        return _event(identity, said)
    except Malformed:
        return Notification(identity, "unknown", "production", now_ms, unreadable=True)


def _event(identity: str, said: Fields) -> Notification:
    event_ms = said.moment_of_number("eventTimeMillis")
    if (about := said.object_or_none("subscriptionNotification")) is not None:
        kind = f"subscription/{about.whole('notificationType')}"
        purchase = PurchaseKey("production", about.text("purchaseToken"))
        return Notification(identity, kind, "production", event_ms, fetch=(purchase,))
    if (about := said.object_or_none("voidedPurchaseNotification")) is not None:
        return _voided(identity, event_ms, about)
    if (about := said.object_or_none("oneTimeProductNotification")) is not None:
        kind = f"one_time/{about.whole('notificationType')}"
        return Notification(identity, kind, "production", event_ms)
    kind = "test" if said.has("testNotification") else "unknown"
    return Notification(identity, kind, "production", event_ms)


def _voided(identity: str, event_ms: int, about: Fields) -> Notification:
    kind = f"voided/{about.whole('productType')}"
    if about.whole("productType") != _SUBSCRIPTION:
        return Notification(identity, kind, "production", event_ms)
    token = about.text("purchaseToken")
    whole = about.whole_or_none("refundType") in (None, _FULL)
    facts = (GoogleVoided(token, about.text_or_none("orderId"), event_ms),) if whole else ()
    fetch = (PurchaseKey("production", token),)
    return Notification(identity, kind, "production", event_ms, facts, fetch)


def _decoded(data: str | None) -> bytes:
    try:
        return b64decode(data or "", validate=True)
    except (ValueError, binascii.Error):
        pass
    raise Malformed
