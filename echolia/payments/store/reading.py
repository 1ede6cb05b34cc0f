"""Reading purchases: an account's facts, whose a purchase is, what the reconcilers look for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from echolia.core.purchases import Fact, PurchaseKey
from echolia.payments.store.sealing import Keys
from echolia.storage.engine import Database, Result, Statement

_MOST: Final = 5000
# An account's own, and those which say that one of its own was replaced.
_FACTS: Final = (
    "SELECT p.store, f.fact, f.sealed, p.account FROM purchase_facts f JOIN purchases p USING (purchase)"
    " WHERE p.account = ?1 OR f.linked IN (SELECT purchase FROM purchases WHERE account = ?1)"
    " ORDER BY f.said_ms DESC, f.fact LIMIT ?2"
)
_REVISION: Final = "SELECT revision FROM entitlements WHERE account = ?"
_PURCHASE: Final = "SELECT store, sealed, account FROM purchases WHERE purchase = ?"
_OF_PURCHASE: Final = "SELECT fact, sealed FROM purchase_facts WHERE purchase = ?"


class Held(NamedTuple):
    """A fact that concerns an account: of which store, and whether the purchase is its own."""

    store: str
    fact: Fact
    own: bool


class Known(NamedTuple):
    """A purchase: its store, its key there, whose it is."""

    store: str
    key: PurchaseKey
    account: bytes | None


async def held(db: Database, keys: Keys, account: bytes) -> tuple[int, Sequence[Held]]:
    """The revision of what an account has, and the facts of then. Raises: `StorageError`."""
    revision, found = await db.batch(
        [Statement(_REVISION, (account,)), Statement(_FACTS, (account, _MOST))],
    )
    rows: list[Any] = found.rows
    return _number(revision), [
        Held(store, keys.open_fact(sealed, fact), owner == account) for store, fact, sealed, owner in rows
    ]


async def known(db: Database, keys: Keys, purchase: bytes) -> Known | None:
    """What there is under a look-up. Raises: `StorageError`."""
    (found,) = await db.batch([Statement(_PURCHASE, (purchase,))], tx=False)
    rows: list[Any] = found.rows
    if not rows:
        return None
    store, sealed, account = rows[0]
    return Known(store, keys.open_purchase(sealed, purchase), account)


async def facts_of(db: Database, keys: Keys, purchase: bytes) -> Sequence[Fact]:
    """A purchase's facts. Raises: `StorageError`."""
    (found,) = await db.batch([Statement(_OF_PURCHASE, (purchase,))], tx=False)
    rows: list[Any] = found.rows
    return [keys.open_fact(sealed, fact) for fact, sealed in rows]


async def owner(db: Database, purchase: bytes) -> bytes | None:
    """Whose a purchase is. Raises: `StorageError`."""
    (found,) = await db.batch(
        [Statement("SELECT account FROM purchases WHERE purchase = ?", (purchase,))], tx=False
    )
    rows: list[Any] = found.rows
    return rows[0][0] if rows else None


async def counts(db: Database) -> Sequence[tuple[str, str, int, int]]:
    """How many purchases there are of each store and environment, and how many of them are nobody's.

    Raises: `StorageError`.
    """
    sql = (
        "SELECT store, environment, count(*), count(*) - count(account) FROM purchases"
        " GROUP BY store, environment ORDER BY store, environment"
    )
    (found,) = await db.batch([Statement(sql)], tx=False)
    rows: list[Any] = found.rows
    return rows


async def page(db: Database, after: bytes, most: int) -> Sequence[bytes]:
    """Purchases behind one, in order. Raises: `StorageError`."""
    sql = "SELECT purchase FROM purchases WHERE purchase > ?1 ORDER BY purchase LIMIT ?2"
    return await _column(db, Statement(sql, (after, most)))


async def ending(db: Database, least_ms: int, most_ms: int, after: bytes, most: int) -> Sequence[bytes]:
    """Purchases behind one, in order, of which a date lies in this time. Raises: `StorageError`."""
    sql = (
        "SELECT purchase FROM purchases WHERE ends_ms BETWEEN ?1 AND ?2 AND purchase > ?3"
        " ORDER BY purchase LIMIT ?4"
    )
    return await _column(db, Statement(sql, (least_ms, most_ms, after, most)))


async def unacknowledged(db: Database, after: bytes, most: int) -> Sequence[bytes]:
    """Purchases behind one, in order, that the store does not know to be delivered.

    Raises: `StorageError`.
    """
    sql = (
        "SELECT DISTINCT purchase FROM purchase_facts WHERE unacknowledged = 1 AND purchase > ?1"
        " ORDER BY purchase LIMIT ?2"
    )
    return await _column(db, Statement(sql, (after, most)))


async def forget_nobodys(db: Database, before_ms: int) -> int:
    """Remove purchases without an account that ended, and changed last, before this; returns how many.

    Raises: `StorageError`.
    """
    sql = "DELETE FROM purchases WHERE account IS NULL AND ends_ms < ?1 AND learnt_ms < ?1"
    (result,) = await db.batch([Statement(sql, (before_ms,))])
    return result.changed


async def _column(db: Database, statement: Statement) -> Sequence[bytes]:
    (found,) = await db.batch([statement], tx=False)
    rows: list[Any] = found.rows
    return [value for (value,) in rows]


def _number(result: Result) -> int:
    rows: list[Any] = result.rows
    return rows[0][0] if rows else 0
