"""A store of one's own for development: what was bought there, in a file, and what happens to it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from echolia.core.errors import EcholiaError
from echolia.core.purchase_records import fact_of, record_of
from echolia.core.purchases import AppleRenewal, AppleTransaction, Fact

DAY_MS: Final = 86_400_000
PERIOD_MS: Final = 30 * DAY_MS
GRACE_MS: Final = 6 * DAY_MS
Event = Literal[
    "buy", "renew", "cancel", "resume", "fail", "fail-without-grace", "lapse", "refund", "reverse", "upgrade",
    "downgrade", "extend",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bought:
    """A subscription in the store: its periods, oldest first, and what will become of it."""

    periods: tuple[AppleTransaction, ...]
    renewal: AppleRenewal

    @property
    def id(self) -> str:
        """The store's id of it."""
        return self.renewal.original_transaction_id

    @property
    def latest(self) -> AppleTransaction:
        """The period that began last."""
        return self.periods[-1]

    @property
    def facts(self) -> tuple[Fact, ...]:
        """All that the store says about it."""
        return (*self.periods, self.renewal)


def bought(id: str, product: str, account_token: str | None, now_ms: int) -> Bought:
    """A new subscription of 30 days."""
    period = AppleTransaction(
        "sandbox", id, id, product, now_ms, now_ms + PERIOD_MS, now_ms, app_account_token=account_token
    )
    return Bought((period,), AppleRenewal("sandbox", id, product, True, now_ms, product))


def _renewed(was: Bought, _product: str, now_ms: int) -> Bought:
    return _next(_ended(was, now_ms), was.renewal.auto_renew_product_id or was.latest.product_id, now_ms)


def _next(was: Bought, product: str, now_ms: int) -> Bought:
    period = replace(
        was.latest,
        transaction_id=f"{was.id}-{len(was.periods) + 1}",
        product_id=product,
        purchase_ms=now_ms,
        expires_ms=now_ms + PERIOD_MS,
        signed_ms=now_ms,
        revoked_ms=None,
        is_upgraded=False,
    )
    renewal = AppleRenewal("sandbox", was.id, product, True, now_ms, product)
    return Bought((*was.periods, period), renewal)


def _upgraded(was: Bought, product: str, now_ms: int) -> Bought:
    former = replace(was.latest, is_upgraded=True, signed_ms=now_ms)
    return _next(Bought((*was.periods[:-1], former), was.renewal), product, now_ms)


def _downgraded(was: Bought, product: str, now_ms: int) -> Bought:
    return _said(was, now_ms, auto_renew_product_id=product)


def _failed(was: Bought, _product: str, now_ms: int) -> Bought:
    ended = _ended(was, now_ms)
    grace = {"is_in_billing_retry": True, "is_in_grace": True, "grace_expires_ms": now_ms + GRACE_MS}
    return _said(ended, now_ms, **grace)


def _failed_at_once(was: Bought, _product: str, now_ms: int) -> Bought:
    return _said(_ended(was, now_ms), now_ms, is_in_billing_retry=True)


def _lapsed(was: Bought, _product: str, now_ms: int) -> Bought:
    quiet = {"is_in_billing_retry": False, "is_in_grace": False, "grace_expires_ms": None}
    return _said(_ended(was, now_ms), now_ms, auto_renews=False, **quiet)


def _ended(was: Bought, now_ms: int) -> Bought:
    """Its period ends now, if it has not by then: nobody can wait a month for it."""
    latest = was.latest
    ended = replace(latest, expires_ms=min(latest.expires_ms or 0, now_ms), signed_ms=now_ms)
    return Bought((*was.periods[:-1], ended), was.renewal)


def _revoked(was: Bought, at_ms: int | None, now_ms: int) -> Bought:
    return Bought((*was.periods[:-1], replace(was.latest, revoked_ms=at_ms, signed_ms=now_ms)), was.renewal)


def _extended(was: Bought, _product: str, now_ms: int) -> Bought:
    later_ms = (was.latest.expires_ms or now_ms) + PERIOD_MS
    return Bought(
        (*was.periods[:-1], replace(was.latest, expires_ms=later_ms, signed_ms=now_ms)), was.renewal
    )


def _said(was: Bought, now_ms: int, **changed: Any) -> Bought:
    return replace(was, renewal=replace(was.renewal, signed_ms=now_ms, **changed))


# What happens, by what an operator calls it: the notification's kind, and what the subscription becomes.
EVENTS: Final[Mapping[Event, tuple[str, Callable[[Bought, str, int], Bought]]]] = {
    "renew": ("DID_RENEW", _renewed),
    "cancel": (
        "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED",
        lambda was, _, now_ms: _said(was, now_ms, auto_renews=False),
    ),
    "resume": (
        "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_ENABLED",
        lambda was, _, now_ms: _said(was, now_ms, auto_renews=True),
    ),
    "fail": ("DID_FAIL_TO_RENEW/GRACE_PERIOD", _failed),
    "fail-without-grace": ("DID_FAIL_TO_RENEW", _failed_at_once),
    "lapse": ("EXPIRED/VOLUNTARY", _lapsed),
    "refund": ("REFUND", lambda was, _, now_ms: _revoked(was, now_ms, now_ms)),
    "reverse": ("REFUND_REVERSED", lambda was, _, now_ms: _revoked(was, None, now_ms)),
    "upgrade": ("DID_CHANGE_RENEWAL_PREF/UPGRADE", _upgraded),
    "downgrade": ("DID_CHANGE_RENEWAL_PREF/DOWNGRADE", _downgraded),
    "extend": ("RENEWAL_EXTENDED", _extended),
}


class Book:
    """The store's file; a change replaces it whole, so that no reader sees half of one.

    What reads it raises `store_unavailable` where it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> dict[str, Bought]:
        """Every subscription, by its id."""
        return {name: _read(each) for name, each in self._content()["subscriptions"].items()}

    def undelivered(self) -> list[str]:
        """Signed notifications that were kept back, oldest first."""
        return [str(each) for each in self._content()["undelivered"]]

    def find(self, id: str) -> Bought:
        """A subscription by its id. Raises: `receipt_invalid`."""
        found = self.all().get(id)
        if found is None:
            raise EcholiaError("receipt_invalid")
        return found

    def put(self, subscription: Bought) -> None:
        """Keep what a subscription has become."""
        content = self._content()
        content["subscriptions"][subscription.id] = [record_of(fact) for fact in subscription.facts]
        self._write(content)

    def keep_back(self, signed: str) -> None:
        """Keep a notification until the server asks what it missed."""
        content = self._content()
        content["undelivered"].append(signed)
        self._write(content)

    def _content(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return {"subscriptions": {}, "undelivered": []}
        except (OSError, ValueError):
            raise EcholiaError("store_unavailable") from None
        return found

    def _write(self, content: Mapping[str, Any]) -> None:
        part = self._path.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
        part.replace(self._path)


def _read(records: list[dict[str, Any]]) -> Bought:
    facts = [fact_of(record) for record in records]
    periods = tuple(fact for fact in facts if isinstance(fact, AppleTransaction))
    (renewal,) = [fact for fact in facts if isinstance(fact, AppleRenewal)]
    return Bought(periods, renewal)
