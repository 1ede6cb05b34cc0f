"""What a device asks about purchases: hand over a receipt, tell what there is, restore."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from echolia.core.errors import EcholiaError
from echolia.core.messages import restore_message
from echolia.core.purchases import GoogleSnapshot
from echolia.payments.models import Had, Handed, MovedAway, Restore, Subscription
from echolia.payments.service.entitlements import PaidTiers
from echolia.payments.service.projecting import Having, counting_one, projected
from echolia.payments.store import entitled, reading, transfers
from echolia.payments.store.learning import FETCH, LINK, learnt
from echolia.payments.store.sealing import Keys
from echolia.payments.stores.port import StoreName, StorePort
from echolia.storage.engine import Database
from echolia.storage.jobs import asked
from echolia.web.context import Caller, Proofs

_TRANSFER_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Purchases:
    """Receipts and restores over the directory `db`; `stores` are those that the server takes."""

    db: Database
    keys: Keys = field(repr=False)
    stores: Mapping[StoreName, StorePort]
    tiers: PaidTiers
    proofs: Proofs
    clock_ms: Callable[[], int]

    async def subscription(self, account: bytes) -> Subscription:
        """What the account has now. Raises: `StorageError`."""
        now_ms = self.clock_ms()
        tokens = await self._account_tokens(account)
        _, held = await reading.held(self.db, self.keys, account)
        having = projected(held, now_ms, self.tiers.catalogue, self.tiers.counting)
        best = counting_one(having)
        moved = await transfers.moved_from(self.db, account, now_ms)
        return Subscription(
            tier=best.tier.name if best and best.tier else self.tiers.catalogue.free.name,
            access_until_ms=best.subscription.access_until_ms if best else None,
            subscriptions=[_told(each) for each in having],
            account_tokens=tokens,
            moved=[MovedAway(store=each.store, at_ms=each.at_ms) for each in moved],
        )

    async def verify(self, caller: Caller, handed: Handed) -> Subscription:
        """Take a receipt for the caller's account.

        Raises: `store_unknown`, `receipt_invalid`, `store_unavailable`, `purchase_owned`, `StorageError`.
        """
        purchase = await self._learn(handed)
        if await self._claimed(purchase, caller.account) != caller.account:
            raise EcholiaError("purchase_owned")
        return await self.subscription(caller.account)

    async def restore(self, caller: Caller, asked_for: Restore) -> Subscription:
        """Have a purchase that may be another account's.

        Raises: as `verify`; `challenge_invalid`, `signature_invalid`, `restore_proof_used`,
        `restore_limited`; `purchase_owned` where another account was faster.
        """
        await self._prove(caller, asked_for)
        purchase = await self._learn(asked_for)
        former = await self._claimed(purchase, caller.account)
        if former is not None and former != caller.account:
            await self._move(purchase, former, caller.account)
        return await self.subscription(caller.account)

    async def _prove(self, caller: Caller, given: Restore) -> None:
        proof = sha256(b"echolia/1/restore proof" + given.challenge).digest()
        message = restore_message(caller.account, given.store, given.receipt, given.challenge)
        try:
            await self.proofs.spend(caller, given.challenge, message, given.signature)
        except EcholiaError as error:
            if error.code == "challenge_invalid" and await transfers.is_spent(self.db, proof):
                raise EcholiaError("restore_proof_used") from None
            raise
        await transfers.spend_proof(self.db, proof, caller.account, self.clock_ms())

    async def _learn(self, handed: Handed) -> bytes:
        """Store what the receipt says; returns the purchase's look-up."""
        store = self._store(handed.store)
        received = await store.verify_receipt(handed.receipt)
        purchase = self.keys.of_purchase(store.name, received.purchase)
        now_ms = self.clock_ms()
        statements = learnt(self.keys, store.name, received.facts, now_ms)
        if not any(isinstance(fact, GoogleSnapshot) for fact in received.facts):
            # What will become of it is not in a receipt.
            statements.append(asked(FETCH, purchase, now_ms))
        await self.db.batch(statements)
        return purchase

    async def _claimed(self, purchase: bytes, account: bytes) -> bytes | None:
        """Whose the purchase is; the account's, if it was nobody's."""
        owner = await reading.owner(self.db, purchase)
        if owner is None:
            owner = await transfers.claim(self.db, purchase, account)
            await self._owned(purchase, account)
        else:
            self.tiers.forget(owner)
        return owner

    async def _move(self, purchase: bytes, former: bytes, account: bytes) -> None:
        transfer = self.keys.dice(_TRANSFER_BYTES)
        if not await transfers.move(self.db, transfer, purchase, former, account, self.clock_ms()):
            faster = await reading.owner(self.db, purchase) != former
            raise EcholiaError("purchase_owned" if faster else "restore_limited")
        self.tiers.forget(former)
        await self._owned(purchase, account)

    async def _owned(self, purchase: bytes, account: bytes) -> None:
        """The account has it from now on; the store is to say so with what it says next."""
        self.tiers.forget(account)
        await self._account_tokens(account)
        await self.db.batch([asked(LINK, purchase, self.clock_ms())])

    async def _account_tokens(self, account: bytes) -> dict[StoreName, str]:
        """The account's UUIDs, by which it is known from now on."""
        tokens = {name: self.keys.account_token(name, account) for name in self.stores}
        found = {name: self.keys.of_account_token(name, token) for name, token in tokens.items()}
        await entitled.name_in_stores(self.db, account, found)
        return tokens

    def _store(self, name: str) -> StorePort:
        for known, store in self.stores.items():
            if known == name:
                return store
        raise EcholiaError("store_unknown")


def _told(having: Having) -> Had:
    found = having.subscription
    return Had(
        store=having.store,
        environment=found.environment,
        product=found.product_id,
        tier=having.tier.name if having.tier else None,
        status=found.status,
        access_until_ms=found.access_until_ms or None,
        auto_renews=found.auto_renews,
        next_product=found.next_product_id,
        ownership=found.ownership,
        trial=found.is_trial,
        price_increase=found.price_increase,
        entitles=having.entitles,
    )
