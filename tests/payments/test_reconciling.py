"""Jobs that make good what was lost: acknowledgements, and the store's knowledge of whose a purchase is."""

from __future__ import annotations

import pytest

from echolia.core.errors import EcholiaError
from echolia.core.purchases import GoogleVoided, PurchaseKey
from echolia.payments.service.assembled import open_payments
from echolia.payments.service.walking import STALE_MS
from echolia.payments.stores.sandbox import SandboxStore
from echolia.storage.engine import Statement
from echolia.storage.jobs import LEASE_MS
from tests.payments.scripted_google import Died
from tests.payments.shop import NoProofs, Shop


class Linking(SandboxStore):
    """The sandbox store, were it able to link; `linked` is what it was told."""

    linked: tuple[tuple[str, str], ...] = ()

    async def link(self, purchase: PurchaseKey, account_token: str) -> None:
        """See `StorePort.link`."""
        self.linked = (*self.linked, (purchase.id, account_token))


async def test_a_lost_acknowledgement_is_found_by_the_sweeper(store: Shop) -> None:
    anna = await store.buyer("anna")
    store.google.bought("t1")
    await anna.verify("t1", "google")
    await store.directory.batch([Statement("DELETE FROM jobs WHERE kind = 'acknowledge'")])
    await store.work()
    assert store.google.acknowledged == []
    store.clock.pass_s(600)
    await store.work()
    assert store.google.acknowledged == ["t1"]
    store.clock.pass_s(600)
    await store.work()
    assert store.google.acknowledged == ["t1"]


async def test_the_store_is_told_whose_a_purchase_is_unless_it_says_so(store: Shop) -> None:
    anna, bert = await store.buyer("anna"), await store.buyer("bert")
    hers = await anna.token()
    silent, said = store.buy(), store.buy(hers)
    for each in (silent, said):
        await anna.verify(store.receipt(each))
    await bert.restore(store.receipt(said))
    adapter = Linking(store.book, store.signer)
    tiers = store.payments.tiers
    payments = open_payments(tiers, {"sandbox": adapter}, NoProofs(), tiers.clock_ms)
    for each in (silent, said):
        await payments.reconcilers.link(tiers.keys.of_purchase("sandbox", PurchaseKey("sandbox", each.id)))
    assert adapter.linked == ((silent.id, hers), (said.id, await bert.token()))
    await payments.reconcilers.link(bytes(32))  # of an account that was deleted meanwhile


async def test_a_store_that_is_not_taken_any_more_waits(store: Shop) -> None:
    anna = await store.buyer("anna")
    await anna.verify(store.receipt(store.buy()))
    tiers = store.payments.tiers
    store.workshop.handlers = open_payments(tiers, {}, NoProofs(), tiers.clock_ms).reconcilers.handlers()
    await store.work()
    assert {code for _, _, code in await store.waiting()} == {"store_unavailable"}


def lost(store: Shop, count: int) -> None:
    """So many pages of what Google could not deliver, each with a notification of one purchase."""
    for number in range(count):
        store.google.bought(f"t{number}")
        said = store.google.notification(1000 + number, "subscription/4", f"t{number}")
        store.google.pages.append([store.google.read(said)])


async def known(store: Shop) -> int:
    """How many purchases the server knows."""
    [(count,)] = await store.rows("SELECT count(*) FROM purchases")
    return int(count)


async def test_a_walk_that_a_crash_ends_goes_on_at_the_page_where_it_was(store: Shop) -> None:
    store.google.pages_asked.clear()
    lost(store, 4)
    store.google.dies_at = "2"
    store.clock.pass_s(1800)
    with pytest.raises(Died):
        await store.work()
    assert store.google.pages_asked == ["", "1", "2"]
    store.clock.pass_s(LEASE_MS / 1000)
    await store.work()
    assert store.google.pages_asked == ["", "1", "2", "2", "3"]
    await store.work()
    assert await known(store) == 4
    assert await store.rows("SELECT 1 FROM jobs WHERE kind = 'page'") == []


async def test_a_walk_that_the_store_ends_goes_on_and_no_second_one_begins(store: Shop) -> None:
    store.google.pages_asked.clear()
    lost(store, 2)
    store.clock.pass_s(1800)
    store.google.failing = EcholiaError("store_unavailable")
    await store.work()
    store.clock.pass_s(1800)  # the next one is due
    await store.work()
    assert len(await store.rows("SELECT 1 FROM jobs WHERE kind = 'page'")) == 1
    store.google.failing = None
    store.clock.pass_s(1800)
    await store.work()
    assert store.google.pages_asked[-2:] == ["", "1"]
    assert await known(store) == 2


async def test_a_walk_whose_page_nobody_knows_any_more_begins_anew(store: Shop) -> None:
    store.google.pages_asked.clear()
    lost(store, 3)
    store.google.dies_at = "1"
    store.clock.pass_s(1800)
    with pytest.raises(Died):
        await store.work()
    store.google.failing = EcholiaError("store_unavailable")
    store.clock.pass_s(STALE_MS / 1000 + 1)
    await store.work()
    assert await store.rows("SELECT 1 FROM jobs WHERE kind = 'page' AND attempts > 1") == []
    store.google.failing = None
    store.clock.pass_s(1800)
    await store.work()
    assert store.google.pages_asked[-3:] == ["", "1", "2"]
    assert await known(store) == 3


async def test_what_was_taken_back_is_walked_through_page_by_page_too(store: Shop) -> None:
    store.google.pages_asked.clear()
    store.google.taken_back = [GoogleVoided(f"t{n}", None, store.google.now_ms) for n in range(3)]
    store.google.dies_at = "1"
    store.clock.pass_s(86_400)
    with pytest.raises(Died):
        await store.work()
    store.clock.pass_s(LEASE_MS / 1000)
    await store.work()
    assert store.google.pages_asked.count("2") == 1 and await known(store) == 3
