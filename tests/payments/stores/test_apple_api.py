"""What the adapter asks of Apple's API, and what it makes of answers and of none."""

from __future__ import annotations

from base64 import b64encode

import pytest

from echolia.core.errors import EcholiaError
from echolia.core.purchases import AppleRenewal, AppleTransaction, PurchaseKey
from echolia.fake_stores.app_store import failure
from echolia.fake_stores.loopback import HANG_UP, Answered
from echolia.payments.stores.apple import AppleStore
from echolia.payments.stores.port import Notification
from echolia.payments.stores.unavailable import StoreUnavailable
from tests.payments.stores.legacy_receipts import app_receipt
from tests.support.app_store import AppleWorld

FIRST = PurchaseKey("production", "1000000")
TOKEN = "7f1b0e0a-3c1d-4b3e-9f6a-2f6d1c0b9a81"


async def test_all_that_is_known_of_a_purchase(world: AppleWorld, apple: AppleStore) -> None:
    sold = world.store.sell("plus.monthly")
    sold.buy(world.clock() + 1)
    world.store.sell("pro.monthly")
    transaction, renewal = await apple.fetch(FIRST)
    assert isinstance(transaction, AppleTransaction) and transaction.transaction_id == "1000001"
    assert isinstance(renewal, AppleRenewal) and renewal.original_transaction_id == "1000000"


@pytest.mark.parametrize(
    "purchase",
    [
        PurchaseKey("production", "404"),
        PurchaseKey("sandbox", "1000000"),
        PurchaseKey("production", "../history"),
        PurchaseKey("production", ""),
    ],
)
async def test_what_the_store_does_not_know(
    world: AppleWorld, apple: AppleStore, purchase: PurchaseKey
) -> None:
    world.store.sell("plus.monthly")
    assert list(await apple.fetch(purchase)) == []
    await apple.link(purchase, TOKEN)
    assert [one.path for one in world.store.server.asked if "404" not in one.path] == []


async def test_missed_webhook_found_by_history_over_three_pages(world: AppleWorld, apple: AppleStore) -> None:
    sold = world.store.sell("plus.monthly")
    signed = [world.store.notify("DID_RENEW", about=sold, delivered=False) for _ in range(45)]
    world.store.notify("DID_RENEW", about=sold, delivered=True)
    found: list[Notification] = []
    page, pages = "", 0
    while page or not pages:
        history = await apple.missed(world.clock() - 1, world.clock() + 1, page)
        found += history.notifications
        page, pages = history.next_page, pages + 1
    assert pages == 3 and len(found) == len({one.id for one in found}) == len(signed)
    assert all(len(one.facts) == 2 and not one.unreadable for one in found)


async def test_history_of_both_environments(world: AppleWorld) -> None:
    apple = AppleStore(world.access(environments=("production", "sandbox")), world.clock)
    world.store.notify("TEST", delivered=False)
    first = await apple.missed(world.clock() - 1, world.clock() + 1)
    assert first.next_page == "sandbox "
    second = await apple.missed(world.clock() - 1, world.clock() + 1, first.next_page)
    assert second.next_page == ""
    assert len(first.notifications) == len(second.notifications) == 1  # both are the one fake
    await apple.close()


async def test_one_unreadable_notification_hides_no_others(world: AppleWorld, apple: AppleStore) -> None:
    world.store.notify("TEST", delivered=False)
    world.store.notify("DID_RENEW", notificationUUID=7, delivered=False)
    world.store.notify("TEST", delivered=False)
    history = await apple.missed(world.clock() - 1, world.clock() + 1)
    assert [one.unreadable for one in history.notifications] == [False, True, False]


async def test_history_waits_for_the_responder(world: AppleWorld, apple: AppleStore) -> None:
    world.store.notify("TEST", delivered=False)
    world.responder.mood = "down"
    with pytest.raises(StoreUnavailable):
        await apple.missed(world.clock() - 1, world.clock() + 1)


async def test_a_purchase_is_linked_to_an_account(world: AppleWorld, apple: AppleStore) -> None:
    world.store.sell("plus.monthly")
    await apple.link(FIRST, TOKEN)
    [transaction, _] = await apple.fetch(FIRST)
    assert isinstance(transaction, AppleTransaction) and transaction.app_account_token == TOKEN


async def test_a_legacy_receipt_only_names_what_is_looked_up(world: AppleWorld, apple: AppleStore) -> None:
    sold = world.store.sell("plus.monthly")
    received = await apple.verify_receipt(app_receipt(sold.original_id))
    assert received.purchase == FIRST
    inner = b64encode(b'"transaction-id" = "1000000";').decode()
    older = b64encode(b'{"purchase-info" = "' + inner.encode() + b'";}').decode()
    assert (await apple.verify_receipt(older)).purchase == FIRST
    for unknown in (app_receipt("404"), app_receipt("../1"), app_receipt("0")):
        with pytest.raises(EcholiaError, match="receipt_invalid"):
            await apple.verify_receipt(unknown)
    named = {one.steps[-1] for one in world.store.server.asked}
    assert named == {sold.original_id, "404", "0"}


@pytest.mark.parametrize(
    ("answer", "reason", "retry_after_s"),
    [
        (failure(4290000), "overloaded", None),
        (Answered(429, headers={"Retry-After": "7"}), "overloaded", 7),
        (failure(5000000), "failed", None),
        (Answered(502, b"<html>", "text/html"), "failed", None),
        (Answered(401), "credentials", None),
        (Answered(302, headers={"Location": "http://127.0.0.1:1/"}), "failed", None),
        (Answered(200, b"{", "application/json"), "malformed", None),
        (Answered(200, b'{"data":7}'), "malformed", None),
        (Answered(200, b'{"data":[{"lastTransactions":[{"originalTransactionId":"1000000",'
                       b'"signedTransactionInfo":"a.b.c"}]}]}'), "malformed", None),
        (HANG_UP, "unreachable", None),
        (Answered(200, b'{"data":[]}' + b" " * 9_000_000), "malformed", None),
    ],
)  # fmt: skip
async def test_a_store_that_does_not_answer(
    world: AppleWorld, apple: AppleStore, answer: Answered, reason: str, retry_after_s: int | None
) -> None:
    world.store.sell("plus.monthly")
    world.store.server.will(answer)
    with pytest.raises(StoreUnavailable) as raised:
        await apple.fetch(FIRST)
    assert (raised.value.code, raised.value.reason) == ("store_unavailable", reason)
    assert raised.value.retry_after_s == retry_after_s
    assert len(await apple.fetch(FIRST)) == 2


async def test_apple_says_when_to_come_back_as_a_point_in_time(world: AppleWorld, apple: AppleStore) -> None:
    world.store.server.will(failure(4290000, str(world.clock() + 90_001)))
    with pytest.raises(StoreUnavailable) as raised:
        await apple.fetch(FIRST)
    assert raised.value.retry_after_s == 91


async def test_a_store_that_never_ends(world: AppleWorld) -> None:
    apple = AppleStore(world.access(urls={"production": "http://127.0.0.1:1", "sandbox": ""}), world.clock)
    with pytest.raises(StoreUnavailable) as raised:
        await apple.fetch(FIRST)
    assert raised.value.reason == "unreachable"
    await apple.close()


async def test_what_apple_need_not_be_told(apple: AppleStore, world: AppleWorld) -> None:
    await apple.acknowledge(FIRST, "plus.monthly")
    assert await apple.voided(0, 1) == ((), "")
    assert world.store.server.asked == []
