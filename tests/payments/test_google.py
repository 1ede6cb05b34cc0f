"""A store whose notifications are hints: what counts is what it answers when it is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from echolia.core.errors import EcholiaError
from echolia.core.purchases import GoogleVoided
from echolia.storage.engine import Statement
from echolia.web.context import Refusal
from tests.payments.scripted_google import DAY_MS
from tests.payments.shop import PRO, Shop, shop

DAY_S = 86_400


async def test_purchase_while_the_app_is_closed_is_acknowledged(store: Shop) -> None:
    anna = await store.buyer("anna")
    store.google.bought("t1", obfuscated_account_id=await anna.token("google"))
    await store.google_says("subscription/4", "t1")
    assert store.google.acknowledged == ["t1"]
    assert await anna.tier() == "plus"
    assert await store.waiting() == []
    assert await store.rows("SELECT unacknowledged FROM purchase_facts") == [(0,)]


async def test_it_says_renewed_while_the_answer_says_on_hold(store: Shop) -> None:
    anna = await store.buyer("anna")
    store.google.bought("t1", obfuscated_account_id=await anna.token("google"))
    await store.google_says("subscription/4", "t1")
    store.clock.pass_s(60)
    store.google.becomes("t1", state="on_hold")
    await store.google_says("subscription/2", "t1")
    (told,) = (await anna.subscription())["subscriptions"]
    assert (told["status"], await anna.tier()) == ("billing_retry", "free")


async def test_a_linked_token_is_never_entitled_again(store: Shop) -> None:
    anna = await store.buyer("anna")
    mine = await anna.token("google")
    store.google.bought("t1", obfuscated_account_id=mine)
    await store.google_says("subscription/4", "t1")
    store.google.bought("t2", PRO, linked_token="t1")  # without a UUID: it is whose the first was
    await store.google_says("subscription/4", "t2")
    assert await anna.tier() == "pro"
    store.clock.pass_s(DAY_S)
    store.google.becomes("t2", state="expired")
    await store.google_says("subscription/13", "t2")
    await store.google_says("subscription/2", "t1")  # which still says that it is active
    assert await anna.tier() == "free"


async def test_the_linked_token_comes_first(store: Shop) -> None:
    anna = await store.buyer("anna")
    store.google.bought("t1", obfuscated_account_id=await anna.token("google"))
    store.google.bought("t2", PRO, linked_token="t1")
    await store.google_says("subscription/4", "t2")
    assert await anna.tier() == "free"
    await store.google_says("subscription/4", "t1")
    assert await anna.tier() == "pro"


async def test_resubscribe_after_expiry_is_found_by_the_expired_token(store: Shop) -> None:
    anna = await store.buyer("anna")
    store.google.bought("t1", obfuscated_account_id=await anna.token("google"))
    await store.google_says("subscription/4", "t1")
    store.clock.pass_s(40 * DAY_S)
    store.google.becomes("t1", state="expired")
    await store.google_says("subscription/13", "t1")
    store.google.bought("t2", expired_token="t1")
    await store.google_says("subscription/4", "t2")
    assert store.google.tokens["t2"].expired_token is None  # erased there by now
    assert (await store.rows("SELECT count(*) FROM purchases WHERE account IS NOT NULL")) == [(2,)]


async def test_pending_then_canceled(store: Shop) -> None:
    anna = await store.buyer("anna")
    store.google.bought("t1", state="pending", obfuscated_account_id=await anna.token("google"))
    answer = await anna.verify("t1", "google")
    assert (answer.json()["tier"], answer.json()["subscriptions"][0]["status"]) == ("free", "pending")
    store.clock.pass_s(1)
    store.google.becomes("t1", state="pending_canceled")
    await store.google_says("subscription/20", "t1")
    (told,) = (await anna.subscription())["subscriptions"]
    assert (told["status"], store.google.acknowledged) == ("none", [])


async def test_voided_is_found_by_reconciliation_alone(store: Shop) -> None:
    anna = await store.buyer("anna")
    store.google.bought("t1", obfuscated_account_id=await anna.token("google"))
    await anna.verify("t1", "google")
    store.google.taken_back = [
        GoogleVoided("t9", "GPA t9", store.now_ms),
        GoogleVoided("t1", "GPA of a former month", store.now_ms),
    ]
    store.clock.pass_s(DAY_S)
    await store.work()
    assert await anna.tier() == "plus"
    store.clock.pass_s(DAY_S)
    store.google.taken_back.append(GoogleVoided("t1", "GPA t1", store.now_ms))
    await store.work()
    (told,) = (await anna.subscription())["subscriptions"]
    assert (told["status"], await anna.tier()) == ("revoked", "free")


async def test_a_missed_webhook_is_found_by_history_over_three_pages(store: Shop) -> None:
    anna = await store.buyer("anna")
    store.google.bought("t1", obfuscated_account_id=await anna.token("google"))
    said = [store.google.read(store.google.notification(n, "subscription/4", "t1")) for n in range(3)]
    other = [replace(each, id=f"other {n}", fetch=()) for n, each in enumerate(said)]
    store.google.pages = [other[:2], other[2:], said[:1]]
    store.clock.pass_s(DAY_S)
    await store.work()
    assert await anna.tier() == "plus"
    assert await store.rows("SELECT count(*) FROM payment_inbox") == [(4,)]
    store.clock.pass_s(30 * 60)
    await store.work()
    assert await store.rows("SELECT count(*) FROM payment_inbox") == [(4,)]


async def test_a_lost_renewal_is_found_around_the_expiry(store: Shop) -> None:
    anna = await store.buyer("anna")
    bought = store.google.bought("t1", obfuscated_account_id=await anna.token("google"))
    await anna.verify("t1", "google")
    store.clock.pass_s(DAY_S)
    await store.work()
    (item,) = bought.line_items
    store.clock.pass_s(29 * DAY_S)
    store.google.becomes("t1", line_items=(replace(item, expires_ms=store.now_ms + 30 * DAY_MS),))
    assert await anna.tier() == "free"
    await store.work()
    assert await anna.tier() == "plus"


async def test_while_the_store_is_away_access_stays_and_jobs_wait(store: Shop) -> None:
    anna = await store.buyer("anna")
    store.google.bought("t1", obfuscated_account_id=await anna.token("google"))
    await anna.verify("t1", "google")
    await store.work()
    store.google.failing = Refusal("store_unavailable", retry_after_s=90)
    asked = await anna.verify("t1", "google")
    assert (asked.status, asked.code, asked.headers["retry-after"]) == (503, "store_unavailable", "90")
    refused = await store.deliver(store.google.notification(1, "subscription/4", "t1"), "google")
    assert (refused.status, refused.code) == (503, "store_unavailable")
    store.google.failing = None
    await store.deliver(store.google.notification(1, "subscription/3", "t1"), "google")
    store.google.failing = Refusal("store_unavailable", retry_after_s=90)
    assert await store.work() == 1
    assert await anna.tier() == "plus"
    ((kind, wait_ms, code),) = await store.waiting()
    assert (kind, code) == ("fetch", "store_unavailable")
    assert 79_000 < wait_ms <= 80_000
    store.google.failing = None
    assert await store.work() == 0
    store.clock.pass_s(70)
    assert await store.work() == 1


async def test_crash_between_inbox_and_work(tmp_path: Path) -> None:
    """What was answered is stored, and another server does what follows from it."""
    async with shop(tmp_path / "data") as before:
        anna = await before.buyer("anna")
        bought = before.google.bought("t1", obfuscated_account_id=await anna.token("google"))
        answer = await before.deliver(before.google.notification(1, "subscription/4", "t1"), "google")
        assert (answer.status, await anna.tier()) == (204, "free")
        clock = before.clock
    async with shop(tmp_path / "data", clock, google={"t1": bought}) as after:
        anna.asker.app = after.ask.app
        assert after.google.acknowledged == ["t1"]
        assert await anna.tier() == "plus"


async def test_what_a_notification_brings_is_written_with_it_or_not_at_all(store: Shop) -> None:
    store.google.bought("t1")
    await store.directory.batch([Statement("ALTER TABLE jobs RENAME TO gone")])
    answer = await store.deliver(store.google.notification(1, "subscription/4", "t1"), "google")
    assert answer.status >= 500
    assert await store.rows("SELECT count(*) FROM payment_inbox") == [(0,)]
    assert await store.rows("SELECT count(*) FROM purchases") == [(0,)]
    await store.directory.batch([Statement("ALTER TABLE gone RENAME TO jobs")])
    await store.google_says("subscription/4", "t1")
    assert store.google.acknowledged == ["t1"]


async def test_an_unreadable_notification_is_a_dead_letter(store: Shop) -> None:
    body = store.google.notification(1, "unknown", unreadable=True)
    assert [(await store.deliver(body, "google")).status for _ in range(2)] == [204, 204]
    assert await store.rows("SELECT readable, kind FROM payment_inbox") == [(0, "unknown")]


async def test_the_same_notification_again_asks_for_nothing(store: Shop) -> None:
    store.google.bought("t1")
    body = store.google.notification(1, "subscription/4", "t1")
    assert (await store.deliver(body, "google")).status == 204
    await store.work()
    assert [(await store.deliver(body, "google")).status for _ in range(3)] == [204] * 3
    assert await store.waiting() == []


async def test_an_unsigned_call_is_refused(store: Shop) -> None:
    body = store.google.notification(1, "subscription/4", "t1")
    answer = await store.deliver(body, "google", authorization="somebody")
    assert (answer.status, answer.code) == (400, "notification_invalid")


async def test_unknown_receipts_and_stores(store: Shop) -> None:
    anna = await store.buyer("anna")
    assert (await anna.verify("t404", "google")).code == "receipt_invalid"
    assert (await anna.verify("x", "apple")).code == "store_unknown"
    assert (await store.deliver(b"{}", "apple")).code == "not_found"


async def test_a_fetch_that_began_earlier_does_not_count(store: Shop) -> None:
    anna = await store.buyer("anna")
    bought = store.google.bought("t1", obfuscated_account_id=await anna.token("google"))
    await anna.verify("t1", "google")
    store.clock.pass_s(60)
    store.google.becomes("t1", state="on_hold")
    await store.google_says("subscription/5", "t1")
    await store.payments.receiving.learn("google", [bought])
    assert await anna.tier() == "free"


async def test_another_error_does_not_stop_the_workshop(store: Shop) -> None:
    anna = await store.buyer("anna")
    store.google.bought("t1", obfuscated_account_id=await anna.token("google"))
    await store.deliver(store.google.notification(1, "subscription/4", "t1"), "google")
    store.google.failing = EcholiaError("storage_damaged")
    assert await store.work() == 1
    assert store.workshop.failed == 1
    ((kind, _, code),) = await store.waiting()
    assert (kind, code) == ("fetch", "storage_damaged")
