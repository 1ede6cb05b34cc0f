"""Who has access when: lives of subscriptions through the webhook and the receipts, in the directory."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest

from echolia.payments.stores.sandbox_book import GRACE_MS, PERIOD_MS, Event
from tests.payments.shop import PLUS, PRO, Shop

DAY_S = 86_400
EVENTS_OF_A_LIFE: tuple[Event, ...] = ("renew", "upgrade", "refund")


async def test_a_person_buys_renews_lapses_and_comes_back(store: Shop) -> None:
    anna = await store.buyer("anna")
    assert await anna.tier() == "free"
    bought = store.buy(await anna.token())
    answer = await anna.verify(store.receipt(bought))
    assert (answer.status, answer.json()["tier"]) == (200, "plus")
    assert await anna.tier() == "plus"
    store.clock.pass_s(29 * DAY_S)
    renewed = store.happens(bought, "renew")
    await store.tell(renewed)
    renewed_ms = store.now_ms
    store.clock.pass_s(29 * DAY_S)
    told = await anna.subscription()
    assert (told["tier"], told["access_until_ms"]) == ("plus", renewed_ms + PERIOD_MS)
    store.clock.pass_s(2 * DAY_S)
    assert await anna.tier() == "free"  # nobody said anything: time ended it
    await store.tell(store.happens(renewed, "renew"))
    assert await anna.tier() == "plus"


async def test_access_ends_at_the_very_millisecond(store: Shop) -> None:
    anna = await store.buyer("anna")
    bought = store.buy(await anna.token())
    await anna.verify(store.receipt(bought))
    end_s = (bought.latest.expires_ms or 0) / 1000
    for at_ms, tier in ((-1, "plus"), (0, "free"), (1, "free")):
        store.clock.now_s = end_s + at_ms / 1000
        assert await anna.tier() == tier, at_ms


async def test_a_webhook_before_the_receipt_gives_access_by_the_uuid(store: Shop) -> None:
    anna = await store.buyer("anna")
    bought = store.buy(await anna.token())
    await store.tell(bought, "SUBSCRIBED/INITIAL_BUY")
    assert await anna.tier() == "plus"
    assert (await anna.verify(store.receipt(bought))).status == 200
    assert len((await anna.subscription())["subscriptions"]) == 1


async def test_a_webhook_without_a_uuid_waits_for_the_receipt(store: Shop) -> None:
    anna = await store.buyer("anna")
    bought = store.buy()
    await store.tell(bought, "SUBSCRIBED/INITIAL_BUY")
    assert await anna.tier() == "free"
    await anna.verify(store.receipt(bought))
    assert await anna.tier() == "plus"


async def test_late_expired_after_renewal(store: Shop) -> None:
    anna = await store.buyer("anna")
    bought = store.buy(await anna.token())
    store.clock.pass_s(30 * DAY_S)
    failed = store.notification("DID_FAIL_TO_RENEW", store.happens(bought, "fail-without-grace").facts)
    lapsed = store.notification("EXPIRED/BILLING_RETRY", store.happens(bought, "lapse").facts)
    store.clock.pass_s(60)
    await store.tell(store.happens(bought, "renew"))
    assert [(await store.deliver(body)).status for body in (failed, lapsed)] == [204, 204]
    assert await anna.tier() == "plus"


REFUNDS: list[tuple[str, list[Event], str, str]] = [
    ("the latest", ["refund"], "free", "revoked"),
    ("reversed", ["refund", "reverse"], "plus", "active"),
    ("of an upgrade", ["upgrade", "refund"], "free", "revoked"),
    ("of an upgrade, reversed", ["upgrade", "refund", "reverse"], "pro", "active"),
]


@pytest.mark.parametrize(
    ("events", "tier", "status"), [row[1:] for row in REFUNDS], ids=[row[0] for row in REFUNDS]
)
async def test_refund(store: Shop, events: list[Event], tier: str, status: str) -> None:
    anna = await store.buyer("anna")
    subscription = store.buy(await anna.token())
    await store.tell(subscription)
    for event in events:
        store.clock.pass_s(3600)
        subscription = store.happens(subscription, event)
        await store.tell(subscription, "REFUND")
    assert await anna.tier() == tier
    (told,) = (await anna.subscription())["subscriptions"]
    assert told["status"] == status


async def test_a_refund_of_an_older_period_changes_nothing(store: Shop) -> None:
    anna = await store.buyer("anna")
    bought = store.buy(await anna.token())
    store.clock.pass_s(30 * DAY_S)
    await store.tell(store.happens(bought, "renew"))
    store.clock.pass_s(60)
    await store.tell(store.happens(bought, "refund"), "REFUND")
    assert await anna.tier() == "plus"


async def test_upgrade_downgrade_grace_and_retry(store: Shop) -> None:
    anna = await store.buyer("anna")
    subscription = store.buy(await anna.token())
    seen = []
    for event in ("upgrade", "downgrade", "cancel", "resume", "extend", "fail"):
        store.clock.pass_s(60)
        subscription = store.happens(subscription, event, PLUS if event == "downgrade" else PRO)
        await store.tell(subscription)
        (told,) = (await anna.subscription())["subscriptions"]
        seen.append((told["status"], told["tier"], told["next_product"]))
    assert seen == [
        ("active", "pro", None),
        ("active", "pro", PLUS),
        ("canceled", "pro", None),
        ("active", "pro", PLUS),
        ("active", "pro", PLUS),
        ("grace", "pro", PLUS),
    ]
    store.clock.pass_s(GRACE_MS / 1000)
    (told,) = (await anna.subscription())["subscriptions"]
    assert (told["status"], await anna.tier()) == ("billing_retry", "free")


async def test_an_unknown_product_is_told_and_gives_nothing(store: Shop) -> None:
    anna = await store.buyer("anna")
    await store.tell(store.buy(await anna.token(), "somebody.elses.product"))
    (told,) = (await anna.subscription())["subscriptions"]
    assert (told["status"], told["tier"], told["entitles"]) == ("active", None, False)
    assert await anna.tier() == "free"


async def test_an_unknown_type_of_notification_changes_nothing_but_its_facts(store: Shop) -> None:
    anna = await store.buyer("anna")
    assert (await store.deliver(store.notification("NEVER_HEARD_OF/IT", []))).status == 204
    await store.tell(store.buy(await anna.token()), "NEVER_HEARD_OF_EITHER")
    assert await anna.tier() == "plus"


async def test_sandbox_purchases_give_nothing_in_production(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.payments.shop import shop  # noqa: PLC0415

    async with shop(tmp_path_factory.mktemp("production"), sandbox_store=False) as store:
        anna = await store.buyer("anna")
        answer = await anna.verify(store.receipt(store.buy(await anna.token())))
        (told,) = answer.json()["subscriptions"]
        assert (told["environment"], told["status"], told["entitles"]) == ("sandbox", "active", False)
        assert await anna.tier() == "free"


async def test_the_same_notification_a_hundred_times_at_once_changes_one_thing(store: Shop) -> None:
    anna = await store.buyer("anna")
    body = store.notification("SUBSCRIBED", store.buy(await anna.token()).facts, "the one")
    answers = await asyncio.gather(*(store.deliver(body) for _ in range(100)))
    assert {answer.status for answer in answers} == {204}
    assert await store.rows("SELECT count(*) FROM payment_inbox") == [(1,)]
    assert await store.rows("SELECT count(*) FROM purchase_facts") == [(2,)]
    assert await anna.tier() == "plus"
    counted = (await store.ask("GET", "/metrics")).body.decode()
    assert "echolia_notifications_taken_total 1.0" in counted
    assert "echolia_notifications_repeated_total 99.0" in counted


async def test_a_life_in_any_order_with_duplicates_ends_alike(store: Shop) -> None:
    """Sixteen lives of the same events, each told in another order, some of it twice."""
    for number in range(16):
        dice = random.Random(number)
        buyer = await store.buyer(f"buyer {number}")
        subscription = store.buy(await buyer.token())
        told = [store.notification("SUBSCRIBED", subscription.facts)]
        for event in ("cancel", "resume", "fail", "renew", "upgrade", "refund", "reverse", "downgrade"):
            store.clock.pass_s(3600)
            subscription = store.happens(subscription, event, PLUS if event == "downgrade" else PRO)
            told.append(store.notification(event, subscription.facts[-2:]))
        told += dice.sample(told, 3)
        dice.shuffle(told)
        assert {(await store.deliver(body)).status for body in told} == {204}
        (found,) = (await buyer.subscription())["subscriptions"]
        assert (found["status"], found["tier"], found["next_product"]) == ("active", "pro", PLUS), number


@pytest.mark.slow
async def test_every_order_of_a_life_with_duplicates_ends_alike(store: Shop) -> None:
    """All 24 orders of four notifications, the first of each order once more at the end."""
    for number, order in enumerate(itertools.permutations(range(4))):
        buyer = await store.buyer(f"buyer {number}")
        subscription = store.buy(await buyer.token())
        told = [store.notification("SUBSCRIBED", subscription.facts)]
        for event in EVENTS_OF_A_LIFE:
            store.clock.pass_s(1)
            subscription = store.happens(subscription, event)
            told.append(store.notification(event, subscription.facts[-2:]))
        for at in (*order, order[0]):
            assert (await store.deliver(told[at])).status == 204
        (found,) = (await buyer.subscription())["subscriptions"]
        assert (found["status"], found["product"], found["entitles"]) == ("revoked", PRO, False), order


async def test_forged_and_foreign_notifications_are_refused(store: Shop) -> None:
    from tests.payments.shop import shop  # noqa: PLC0415

    anna = await store.buyer("anna")
    bought = store.buy(await anna.token())
    good = store.notification("SUBSCRIBED", bought.facts)
    receipt = store.receipt(bought).encode()
    wrong = [
        b"", b"{}", b"[]", b'{"signed": 1}', b'{"signed": "e30.e30"}', b"[" * 5000,
        good.replace(b'"signed": "', b'"signed": "A'),
        b'{"signed": "' + receipt + b'"}',  # a receipt is no notification
    ]  # fmt: skip
    async with shop(store.data.parent / "elsewhere") as other:
        wrong.append(other.notification("SUBSCRIBED", bought.facts))
    answers = [await store.deliver(body) for body in wrong]
    assert {(answer.status, answer.code) for answer in answers} == {(400, "notification_invalid")}
    assert await anna.tier() == "free"


async def test_what_is_too_large_is_refused_before_it_is_read(store: Shop) -> None:
    answer = await store.deliver(b" " * 257 * 1024)
    assert (answer.status, answer.code) == (413, "body_too_large")
    anna = await store.buyer("anna")
    assert (await anna.verify("x" * 257 * 1024)).code == "body_too_large"
    assert (await anna.verify("x" * 129 * 1024)).code == "invalid_request"
