"""What a device takes from a server's word about purchases, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from echolia.client.payments import subscription_of
from echolia.core.errors import EcholiaError

PURCHASE = {
    "store": "apple", "environment": "production", "product": "plus", "tier": "plus", "status": "active",
    "access_until_ms": 5, "auto_renews": True, "next_product": None, "ownership": "purchased", "trial": False,
    "price_increase": "none", "entitles": True,
}  # fmt: skip
SAID: dict[str, Any] = {
    "tier": "plus",
    "access_until_ms": 5,
    "subscriptions": [PURCHASE],
    "account_tokens": {"apple": "a uuid"},
    "moved": [{"store": "google", "at_ms": 7}],
}


def test_what_the_server_says_is_taken() -> None:
    told = subscription_of(SAID)
    assert (told.tier, told.access_until_ms, told.account_tokens) == ("plus", 5, {"apple": "a uuid"})
    assert [(each.product, each.entitles, each.next_product) for each in told.purchases] == [
        ("plus", True, None)
    ]
    assert [(each.store, each.at_ms) for each in told.moved] == [("google", 7)]
    assert "a uuid" not in repr(told)


def test_what_a_newer_server_says_besides_is_left_alone() -> None:
    newer = {**SAID, "more": 1, "subscriptions": [{**PURCHASE, "more": 1}]}
    assert subscription_of(newer) == subscription_of(SAID)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tier": None},
        {"access_until_ms": "5"},
        {"account_tokens": ["apple"]},
        {"account_tokens": {"apple": 1}},
        {"subscriptions": None},
        {"subscriptions": ["plus"]},
        {"subscriptions": [{**PURCHASE, "entitles": 1}]},
        {"subscriptions": [{**PURCHASE, "access_until_ms": True}]},
        {"moved": [{"store": "google"}]},
        {"moved": None},
    ],
)
def test_anything_else_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(EcholiaError, match="server_invalid"):
        subscription_of({**SAID, **wrong})
