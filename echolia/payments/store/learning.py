"""Writing facts: the newest of each key stays, and whose a purchase is follows from what is known by then.

All of it is made of statements that any order and any repetition leave alike, to be carried out in one unit
of work with what brought the facts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from echolia.core.purchases import (
    AppleRenewal,
    AppleTransaction,
    Fact,
    GoogleSnapshot,
    GoogleState,
    GoogleVoided,
    PurchaseKey,
    key_of,
    purchase_of,
    said_ms,
)
from echolia.payments.store.sealing import Keys
from echolia.storage.engine import Database, Result, Statement
from echolia.storage.jobs import asked

FETCH: Final = "fetch"
ACKNOWLEDGE: Final = "acknowledge"
LINK: Final = "link"
_NOTHING_TO_ACKNOWLEDGE: Final[frozenset[GoogleState]] = frozenset(
    {"pending", "pending_canceled", "expired", "unknown"}
)

_PURCHASE: Final = (
    "INSERT INTO purchases (purchase, store, environment, sealed, predecessor, ends_ms, learnt_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (purchase) DO UPDATE SET"
    " predecessor = coalesce(purchases.predecessor, excluded.predecessor), learnt_ms = excluded.learnt_ms,"
    " environment = CASE WHEN excluded.ends_ms > 0 THEN excluded.environment ELSE purchases.environment END,"
    " ends_ms = CASE WHEN excluded.ends_ms > purchases.ends_ms THEN excluded.ends_ms"
    " ELSE purchases.ends_ms END"
)
_FACT: Final = (
    "INSERT INTO purchase_facts (fact, purchase, said_ms, digest, linked, unacknowledged, sealed)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (fact) DO UPDATE SET said_ms = excluded.said_ms,"
    " digest = excluded.digest, linked = excluded.linked, unacknowledged = excluded.unacknowledged,"
    " sealed = excluded.sealed WHERE purchase_facts.said_ms < excluded.said_ms"
    " OR purchase_facts.said_ms = excluded.said_ms AND purchase_facts.digest < excluded.digest"
)
_BY_ACCOUNT_UUID: Final = (
    "UPDATE purchases SET account = (SELECT account FROM store_accounts WHERE token = ?2)"
    " WHERE purchase = ?1 AND account IS NULL"
)
# Of the purchase that it replaced, and of those that replaced it and came before.
_BY_PREDECESSOR: Final = (
    "UPDATE purchases SET account = (SELECT p.account FROM purchases p"
    " WHERE p.purchase = purchases.predecessor)"
    " WHERE (purchase = ?1 OR predecessor = ?1) AND account IS NULL AND predecessor IS NOT NULL"
)
_CHANGED: Final = (
    "INSERT INTO entitlements (account, revision, projected, rules, tier, until_ms)"
    " SELECT DISTINCT account, 1, 0, '', '', 0 FROM purchases WHERE account IS NOT NULL AND"
    " (purchase = ?1 OR predecessor = ?1 OR purchase IN (SELECT predecessor FROM purchases"
    " WHERE purchase = ?1)) ON CONFLICT (account) DO UPDATE SET revision = entitlements.revision + 1"
)


async def learn(
    db: Database, keys: Keys, store: str, facts: Sequence[Fact], now_ms: int
) -> Collection[bytes]:
    """Write these facts of a store, all or none; returns the accounts that they are about.

    Raises: `StorageError`.
    """
    owners = owners_of({keys.of_purchase(store, purchase_of(fact)) for fact in facts})
    results = await db.batch([*learnt(keys, store, facts, now_ms), *owners])
    return accounts_in(results[len(results) - len(owners) :])


def learnt(keys: Keys, store: str, facts: Iterable[Fact], now_ms: int) -> list[Statement]:
    """What writes these facts of a store, says whose they are, and marks what has to be projected anew."""
    statements: list[Statement] = []
    purchases: set[bytes] = set()
    for fact in facts:
        purchase = keys.of_purchase(store, purchase_of(fact))
        purchases.add(purchase)
        statements.append(_purchase(keys, store, fact, purchase, now_ms))
        statements.append(_fact(keys, store, fact, purchase))
        statements += [
            Statement(_BY_ACCOUNT_UUID, (purchase, keys.of_account_token(store, token)))
            for token in account_tokens(fact)
        ]
        if unacknowledged(fact):
            statements.append(asked(ACKNOWLEDGE, purchase, now_ms))
    for purchase in sorted(purchases):
        statements += settled(purchase)
    return statements


def owners_of(purchases: Iterable[bytes]) -> list[Statement]:
    """What reads whose these purchases are, a row for each that is somebody's."""
    sql = "SELECT account FROM purchases WHERE purchase = ? AND account IS NOT NULL"
    return [Statement(sql, (purchase,)) for purchase in purchases]


def accounts_in(results: Iterable[Result]) -> Collection[bytes]:
    """The accounts that `owners_of` read."""
    rows: list[Any] = [row for result in results for row in result.rows]
    return {account for (account,) in rows}


def unacknowledged(fact: Fact) -> bool:
    """Whether the store is still to be told that what was bought was delivered."""
    if not isinstance(fact, GoogleSnapshot):
        return False
    return not fact.acknowledged and fact.state not in _NOTHING_TO_ACKNOWLEDGE


def noted(keys: Keys, store: str, key: PurchaseKey, now_ms: int) -> Statement:
    """What writes that there is such a purchase, of which nothing is known yet."""
    purchase = keys.of_purchase(store, key)
    row = (purchase, store, key.environment, keys.seal(list(key), purchase), None, 0, now_ms)
    return Statement(_PURCHASE, row)


def settled(purchase: bytes) -> list[Statement]:
    """What follows for others when a purchase's facts or owner changed."""
    return [Statement(_BY_PREDECESSOR, (purchase,)), Statement(_CHANGED, (purchase,))]


def _purchase(keys: Keys, store: str, fact: Fact, purchase: bytes, now_ms: int) -> Statement:
    sealed = keys.seal(list(purchase_of(fact)), purchase)
    replaced = _replaced(fact)
    predecessor = keys.of_purchase(store, PurchaseKey("production", replaced)) if replaced else None
    row = (purchase, store, fact.environment, sealed, predecessor, _ends_ms(fact), now_ms)
    return Statement(_PURCHASE, row)


def _fact(keys: Keys, store: str, fact: Fact, purchase: bytes) -> Statement:
    found = keys.of_fact(store, key_of(fact))
    linked = None
    if isinstance(fact, GoogleSnapshot) and fact.linked_token:
        linked = keys.of_purchase(store, PurchaseKey("production", fact.linked_token))
    decided = (said_ms(fact), keys.of_digest(fact))
    return Statement(
        _FACT, (found, purchase, *decided, linked, int(unacknowledged(fact)), keys.seal_fact(fact, found))
    )


def account_tokens(fact: Fact) -> list[str]:
    """UUIDs by which a purchase is an account's, the surest first."""
    if isinstance(fact, AppleTransaction):
        found = [fact.app_account_token]
    elif isinstance(fact, GoogleSnapshot):
        found = [fact.obfuscated_account_id, fact.expired_obfuscated_account_id]
    else:
        found = []
    return [token for token in found if token]


def _replaced(fact: Fact) -> str | None:
    if isinstance(fact, GoogleSnapshot):
        return fact.linked_token or fact.expired_token
    return None


def _ends_ms(fact: Fact) -> int:
    """The latest date in it; 0 where it has none."""
    match fact:
        case AppleTransaction():
            return fact.expires_ms or 0
        case AppleRenewal():
            return fact.grace_expires_ms or 0
        case GoogleSnapshot():
            return max((item.expires_ms or 0 for item in fact.line_items), default=0)
        case GoogleVoided():
            return 0
