"""Notifications: each is written once, with all that follows from it, and can be applied again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from echolia.core.purchase_records import fact_of, record_of
from echolia.core.purchases import Fact, PurchaseKey, purchase_of
from echolia.payments.store.learning import FETCH, accounts_in, learnt, noted, owners_of
from echolia.payments.store.sealing import Keys
from echolia.payments.stores.port import Notification
from echolia.storage.engine import Database, Statement
from echolia.storage.jobs import asked_where

KEPT_MS: Final = 30 * 86_400_000
_CLAIM_BYTES: Final = 16

_INSERT: Final = (
    "INSERT INTO payment_inbox (notification, claim, store, environment, kind, readable, signed_ms,"
    " received_ms, sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (notification) DO NOTHING"
)
_FIRST: Final = "EXISTS (SELECT 1 FROM payment_inbox WHERE notification = ?4 AND claim = ?5)"


class Letter(NamedTuple):
    """A notification as an operator sees it, by no identifier of a store's."""

    id: bytes
    store: str
    environment: str
    kind: str
    readable: bool
    received_ms: int


class Kept(NamedTuple):
    """What became of a notification: whether it is `new`, and the accounts that its facts are about."""

    new: bool
    owners: Collection[bytes]


async def receive(db: Database, keys: Keys, store: str, said: Notification, now_ms: int) -> Kept:
    """Store a notification, its facts and the jobs that follow, all or nothing.

    Raises: `StorageError`.
    """
    found, claim = keys.of_notification(store, said.id), keys.dice(_CLAIM_BYTES)
    sealed = keys.seal(
        {"facts": [record_of(fact) for fact in said.facts], "fetch": [list(key) for key in said.fetch]}, found
    )
    named = (store, said.environment, said.kind, int(not said.unreadable))
    row = (found, claim, *named, said.signed_ms, now_ms, sealed)
    # Also who is late for the same may write facts: they are the same ones, and the newest stays.
    facts = learnt(keys, store, said.facts, now_ms)
    asked: list[Statement] = []
    for key in {*said.fetch}:
        asked.append(noted(keys, store, key, now_ms))
        asked.append(asked_where(FETCH, keys.of_purchase(store, key), now_ms, _FIRST, found, claim))
    owners = owners_of({keys.of_purchase(store, purchase_of(fact)) for fact in said.facts})
    inserted, *results = await db.batch([Statement(_INSERT, row), *facts, *asked, *owners])
    return Kept(inserted.changed == 1, accounts_in(results[len(results) - len(owners) :]))


async def letters(db: Database, most: int, *, dead: bool) -> Sequence[Letter]:
    """The newest notifications, or only those nobody could read. Raises: `StorageError`."""
    sql = (
        "SELECT notification, store, environment, kind, readable, received_ms FROM payment_inbox"
        " WHERE readable <= ?1 ORDER BY received_ms DESC, notification LIMIT ?2"
    )
    (found,) = await db.batch([Statement(sql, (int(not dead), most))], tx=False)
    rows: list[Any] = found.rows
    return [
        Letter(found_as, store, environment, kind, bool(readable), at_ms)
        for found_as, store, environment, kind, readable, at_ms in rows
    ]


async def counts(db: Database) -> Sequence[tuple[str, str, int]]:
    """How many notifications there are of each store and kind. Raises: `StorageError`."""
    sql = "SELECT store, kind, count(*) FROM payment_inbox GROUP BY store, kind ORDER BY store, kind"
    (found,) = await db.batch([Statement(sql)], tx=False)
    rows: list[Any] = found.rows
    return rows


async def contents(
    db: Database, keys: Keys, after: bytes, most: int
) -> Sequence[tuple[bytes, str, list[Fact], list[PurchaseKey]]]:
    """A page of what notifications said, each by its look-up, and of which store. Raises: `StorageError`."""
    sql = (
        "SELECT notification, store, sealed FROM payment_inbox WHERE notification > ?1 AND readable = 1"
        " ORDER BY notification LIMIT ?2"
    )
    (found,) = await db.batch([Statement(sql, (after, most))], tx=False)
    rows: list[Any] = found.rows
    read = [(letter, store, keys.open(sealed, letter)) for letter, store, sealed in rows]
    return [
        (letter, store, [fact_of(one) for one in said["facts"]], [PurchaseKey(*key) for key in said["fetch"]])
        for letter, store, said in read
    ]


async def sweep(db: Database, now_ms: int) -> int:
    """Forget old ones; returns how many. Raises: `StorageError`."""
    (result,) = await db.batch(
        [Statement("DELETE FROM payment_inbox WHERE received_ms < ?", (now_ms - KEPT_MS,))]
    )
    return result.changed
