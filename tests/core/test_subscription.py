"""What facts come to: the vectors, and laws that hold for any life of a subscription."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echolia.core.purchase_records import fact_of, record_of
from echolia.core.purchases import (
    AppleRenewal,
    AppleTransaction,
    Fact,
    FactKey,
    GoogleLineItem,
    GoogleSnapshot,
    GoogleVoided,
    key_of,
    members_of,
    newest,
    purchase_of,
)
from echolia.core.subscription import ENTITLED, Subscription, subscriptions

FOLDER: Final = Path(__file__).resolve().parents[2] / "spec" / "vectors" / "subscription"
VECTORS: Final = sorted(FOLDER.glob("*.json"))
DAY: Final = 86_400_000


def plain(found: Subscription) -> dict[str, Any]:
    """As vectors write it."""
    return {**asdict(found), "purchase": found.purchase.id}


def kept(facts: list[Fact]) -> dict[FactKey, Fact]:
    """The newest of each key, after they came in this order."""
    newest_of: dict[FactKey, Fact] = {}
    for fact in facts:
        newest_of[key_of(fact)] = newest(newest_of.get(key_of(fact)), fact)
    return newest_of


@pytest.mark.parametrize("path", VECTORS, ids=[path.stem for path in VECTORS])
def test_vector(path: Path) -> None:
    vector = json.loads(path.read_text("utf-8"))
    facts = [fact_of(record) for record in vector["input"]["facts"]]
    found = [plain(each) for each in subscriptions(facts, vector["input"]["now_ms"])]
    unsaid = {"ownership": "purchased", "is_trial": False, "price_increase": "none"}
    assert found == [{**unsaid, **wanted} for wanted in vector["expect"]["subscriptions"]]


TIMES: Final = st.integers(0, 6).map(lambda n: n * DAY)
PRODUCTS: Final = st.sampled_from(["plus", "pro"])
TRANSACTIONS: Final = st.builds(
    AppleTransaction,
    environment=st.just("production"),
    transaction_id=st.sampled_from("123"),
    original_transaction_id=st.just("1"),
    product_id=PRODUCTS,
    purchase_ms=TIMES,
    expires_ms=st.none() | TIMES,
    signed_ms=TIMES,
    revoked_ms=st.none() | TIMES,
    is_upgraded=st.booleans(),
)
RENEWALS: Final = st.builds(
    AppleRenewal,
    environment=st.just("production"),
    original_transaction_id=st.just("1"),
    product_id=PRODUCTS,
    auto_renews=st.booleans(),
    signed_ms=TIMES,
    is_in_billing_retry=st.booleans(),
    is_in_grace=st.booleans(),
    grace_expires_ms=st.none() | TIMES,
)
SNAPSHOTS: Final = st.builds(
    GoogleSnapshot,
    purchase_token=st.sampled_from("ab"),
    state=st.sampled_from(["pending", "active", "canceled", "grace", "on_hold", "paused", "expired"]),
    line_items=st.tuples(
        st.builds(
            GoogleLineItem,
            product_id=PRODUCTS,
            expires_ms=st.none() | TIMES,
            latest_order_id=st.sampled_from("xy"),
        )
    ),
    fetch_began_ms=TIMES,
    linked_token=st.none() | st.just("a"),
    expired_token=st.none() | st.just("z"),
)
VOIDED: Final = st.builds(
    GoogleVoided, purchase_token=st.just("a"), order_id=st.sampled_from(["x", "y", None]), voided_ms=TIMES
)
FACTS: Final = st.lists(TRANSACTIONS | RENEWALS | SNAPSHOTS | VOIDED, max_size=8)


@given(FACTS, TIMES, st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(facts: list[Fact], now_ms: int, dice: Any) -> None:
    again = facts + [dice.choice(facts) for _ in facts]
    dice.shuffle(again)
    assert kept(facts) == kept(again)
    one, other = list(kept(facts).values()), list(kept(again).values())
    assert subscriptions(one, now_ms) == subscriptions(other, now_ms)


@given(FACTS, TIMES)
def test_access_is_what_the_date_says(facts: list[Fact], now_ms: int) -> None:
    for found in subscriptions(list(kept(facts).values()), now_ms):
        assert (found.status in ENTITLED) == (now_ms < found.access_until_ms)


@given(FACTS, st.integers(0, 8 * DAY), st.integers(0, 8 * DAY))
def test_time_alone_gives_nobody_access(facts: list[Fact], now_ms: int, passed_ms: int) -> None:
    """So whatever was computed holds until the end of its access."""
    state = list(kept(facts).values())
    before = {(each.purchase, each.product_id): each for each in subscriptions(state, now_ms)}
    for found in subscriptions(state, now_ms + passed_ms):
        former = before[found.purchase, found.product_id]
        assert found.access_until_ms in (0, former.access_until_ms)
        assert former.access_until_ms <= now_ms + passed_ms or found.access_until_ms


@given(FACTS)
def test_a_record_is_the_fact_again(facts: list[Fact]) -> None:
    for fact in facts:
        assert fact_of(json.loads(json.dumps(record_of(fact)))) == fact
        assert members_of(fact) == asdict(fact)


def test_no_record_is_no_fact() -> None:
    for record in (
        {},
        {"fact": "else"},
        {"fact": "voided", "token": "x"},
        {"fact": "snapshot", "line_items": 1},
    ):
        with pytest.raises(ValueError, match=r"^no fact$"):
            fact_of(record)


LIFE: Final[tuple[Fact, ...]] = (
    bought := AppleTransaction("production", "1", "1", "plus", 0, 10, 0),
    AppleRenewal("production", "1", "plus", False, 2),
    AppleRenewal("production", "1", "plus", True, 4),
    AppleRenewal("production", "1", "plus", True, 10, is_in_billing_retry=True, grace_expires_ms=15),
    renewed := AppleTransaction("production", "2", "1", "plus", 12, 22, 12),
    replace(renewed, is_upgraded=True, signed_ms=14),
    upgraded := AppleTransaction("production", "3", "1", "pro", 14, 24, 14),
    replace(upgraded, revoked_ms=16, signed_ms=16),
    AppleRenewal("production", "1", "pro", False, 17),
)


def test_every_order_of_a_life_ends_alike() -> None:
    ends = set()
    for order in itertools.permutations(LIFE[:7]):
        ends.add(tuple(subscriptions(list(kept([*order, order[0], *LIFE[7:]]).values()), 18)))
    (only,) = ends
    assert [(each.product_id, each.status) for each in only] == [("pro", "revoked")]


def test_no_representation_shows_an_identifier() -> None:
    facts: list[Fact] = [
        AppleTransaction("production", "S3CRET", "S3CRET", "plus", 0, 1, 0, app_account_token="S3CRET"),
        AppleRenewal("production", "S3CRET", "plus", True, 0),
        GoogleSnapshot("S3CRET", "active", (GoogleLineItem("plus", 1, latest_order_id="S3CRET"),), 0),
        GoogleVoided("S3CRET", "S3CRET", 0),
    ]
    shown = [repr(each) for fact in facts for each in (fact, key_of(fact), purchase_of(fact))]
    assert not [text for text in shown if "S3CRET" in text]
    assert "S3CRET" not in repr(subscriptions(facts, 0))
