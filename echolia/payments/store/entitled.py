"""What an account is entitled to, as it was projected last, and whether that still holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from echolia.payments.stores.port import StoreName
from echolia.storage.engine import Database, Statement

NEVER_MS: Final = 2**53
_READ: Final = "SELECT revision, projected, rules, tier, until_ms FROM entitlements WHERE account = ?"
_WRITE: Final = (
    "UPDATE entitlements SET projected = ?2, rules = ?3, tier = ?4, until_ms = ?5"
    " WHERE account = ?1 AND revision = ?2"
)
_NAME: Final = (
    "INSERT INTO store_accounts (token, account, store)"
    " SELECT ?1, account, ?3 FROM accounts WHERE account = ?2 ON CONFLICT (token) DO NOTHING"
)


class Entitled(NamedTuple):
    """A tier, and when time changes it."""

    tier: str
    until_ms: int


class Row(NamedTuple):
    """What was projected, by which rules, at which revision of the facts, of how many there are now."""

    revision: int
    projected: int
    rules: str
    entitled: Entitled

    def holds(self, rules: str, now_ms: int) -> bool:
        """Whether neither facts nor settings nor time have changed it."""
        current = self.revision == self.projected and self.rules == rules
        return current and now_ms < self.entitled.until_ms


async def read(db: Database, account: bytes) -> Row | None:
    """The row of an account; None where nothing was ever bought. Raises: `StorageError`."""
    (found,) = await db.batch([Statement(_READ, (account,))], tx=False)
    rows: list[Any] = found.rows
    if not rows:
        return None
    revision, projected, rules, tier, until_ms = rows[0]
    return Row(revision, projected, rules, Entitled(tier, until_ms))


async def write(db: Database, account: bytes, revision: int, rules: str, entitled: Entitled) -> None:
    """Keep what follows from the facts at a revision by these rules; nothing where they have changed since.

    Raises: `StorageError`.
    """
    await db.batch([Statement(_WRITE, (account, revision, rules, *entitled))])


async def counts(db: Database) -> Sequence[tuple[str, int]]:
    """How many accounts there are of each tier that was projected. Raises: `StorageError`."""
    sql = "SELECT tier, count(*) FROM entitlements WHERE projected > 0 GROUP BY tier ORDER BY tier"
    (found,) = await db.batch([Statement(sql)], tx=False)
    rows: list[Any] = found.rows
    return [(tier, count) for tier, count in rows]


async def name_in_stores(db: Database, account: bytes, tokens: Mapping[StoreName, bytes]) -> None:
    """Know the account by its UUID in each store. Raises: `StorageError`."""
    known = Statement("SELECT count(*) FROM store_accounts WHERE account = ?", (account,))
    (found,) = await db.batch([known], tx=False)
    if found.rows != [(len(tokens),)]:
        await db.batch([Statement(_NAME, (token, account, store)) for store, token in tokens.items()])
