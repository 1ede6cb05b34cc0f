"""Whose a purchase becomes: claimed by who comes first with its receipt, moved by who restores it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from echolia.payments.store.learning import settled
from echolia.storage.engine import Database, Statement

MOST_MOVES: Final = 3
WINDOW_MS: Final = 30 * 86_400_000
_PROOF_MS: Final = 86_400_000

_CLAIM: Final = "UPDATE purchases SET account = ?2 WHERE purchase = ?1 AND account IS NULL"
_OWNER: Final = "SELECT account FROM purchases WHERE purchase = ?"
# First the row, which says that the purchase may move, then the move that the row allows.
_MOVING: Final = (
    "INSERT INTO purchase_transfers (transfer, purchase, store, from_account, at_ms)"
    " SELECT ?1, purchase, store, account, ?4 FROM purchases WHERE purchase = ?2 AND account = ?3"
    " AND (SELECT count(*) FROM purchase_transfers WHERE purchase = ?2 AND at_ms > ?5) < ?6"
)
_MOVE: Final = (
    "UPDATE purchases SET account = ?3 WHERE purchase = ?1"
    " AND EXISTS (SELECT 1 FROM purchase_transfers WHERE transfer = ?2)"
)
_LOST: Final = "UPDATE entitlements SET revision = revision + 1 WHERE account = ?1"


class Moved(NamedTuple):
    """A purchase that another account restored."""

    store: str
    at_ms: int


async def claim(db: Database, purchase: bytes, account: bytes) -> bytes | None:
    """Have a purchase that is nobody's; returns whose it is now. Raises: `StorageError`."""
    _, *_, found = await db.batch(
        [Statement(_CLAIM, (purchase, account)), *settled(purchase), Statement(_OWNER, (purchase,))]
    )
    rows: list[Any] = found.rows
    return rows[0][0] if rows else None


async def move(
    db: Database, transfer: bytes, purchase: bytes, former: bytes, account: bytes, now_ms: int
) -> bool:
    """Move a purchase from one account to another; False where it is no longer the former's, or moved too
    often.

    Raises: `StorageError`.
    """
    row = (transfer, purchase, former, now_ms, now_ms - WINDOW_MS, MOST_MOVES)
    moving, *_ = await db.batch(
        [
            Statement(_MOVING, row),
            Statement(_MOVE, (purchase, transfer, account)),
            *settled(purchase),
            Statement(_LOST, (former,)),
        ]
    )
    return moving.changed == 1


async def moved_from(db: Database, account: bytes, now_ms: int) -> Sequence[Moved]:
    """What others restored from an account of late. Raises: `StorageError`."""
    sql = (
        "SELECT store, at_ms FROM purchase_transfers WHERE from_account = ?1 AND at_ms > ?2"
        " ORDER BY at_ms, transfer"
    )
    (found,) = await db.batch([Statement(sql, (account, now_ms - WINDOW_MS))], tx=False)
    rows: list[Any] = found.rows
    return [Moved(*row) for row in rows]


async def spend_proof(db: Database, proof: bytes, account: bytes, now_ms: int) -> None:
    """Remember that a proof was used. Raises: `StorageError`."""
    sql = (
        "INSERT INTO restore_proofs (proof, account, used_ms) VALUES (?, ?, ?) ON CONFLICT (proof) DO NOTHING"
    )
    await db.batch([Statement(sql, (proof, account, now_ms))])


async def is_spent(db: Database, proof: bytes) -> bool:
    """Whether it was. Raises: `StorageError`."""
    (found,) = await db.batch([Statement("SELECT 1 FROM restore_proofs WHERE proof = ?", (proof,))], tx=False)
    return bool(found.rows)


async def sweep(db: Database, now_ms: int) -> None:
    """Forget what no longer counts. Raises: `StorageError`."""
    await db.batch(
        [
            Statement("DELETE FROM purchase_transfers WHERE at_ms <= ?", (now_ms - WINDOW_MS,)),
            Statement("DELETE FROM restore_proofs WHERE used_ms <= ?", (now_ms - _PROOF_MS,)),
        ]
    )
