"""Jobs that make good what was lost: acknowledgements, and the store's knowledge of whose a purchase is."""

from __future__ import annotations

from echolia.core.purchases import PurchaseKey
from echolia.payments.service.assembled import open_payments
from echolia.payments.stores.sandbox import SandboxStore
from echolia.storage.engine import Statement
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
