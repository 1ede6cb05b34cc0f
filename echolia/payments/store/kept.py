"""All that the tables of purchases have of an account, by table and column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from echolia.storage.engine import Database, Statement

# Columns that are told as they are; of others their number, since they are hashes and sealed bytes.
_TOLD: Final[Mapping[str, tuple[str, Sequence[str], Sequence[str]]]] = {
    "entitlements": ("account = ?", ("revision", "projected", "rules", "tier", "until_ms"), ("account",)),
    "store_accounts": ("account = ?", ("store",), ("token", "account")),
    "purchases": (
        "account = ?",
        ("store", "environment", "ends_ms", "learnt_ms"),
        ("purchase", "account", "sealed", "predecessor"),
    ),
    "purchase_facts": (
        "purchase IN (SELECT purchase FROM purchases WHERE account = ?)",
        ("said_ms", "unacknowledged"),
        ("fact", "purchase", "digest", "linked", "sealed"),
    ),
    "purchase_transfers": ("from_account = ?", ("store", "at_ms"), ("transfer", "purchase", "from_account")),
    "restore_proofs": ("account = ?", ("used_ms",), ("proof", "account")),
}


async def of_account(db: Database, account: bytes) -> dict[str, Any]:
    """What is told of every column, by `directory.table.column`. Raises: `StorageError`."""
    statements = [
        Statement(_select(table, where, [*told, *(f"{name} IS NOT NULL" for name in counted)]), (account,))
        for table, (where, told, counted) in _TOLD.items()
    ]
    results = await db.batch(statements, tx=False)
    values: dict[str, Any] = {}
    for (table, (_, told, counted)), result in zip(_TOLD.items(), results, strict=True):
        for column, name in enumerate(told):
            values[f"directory.{table}.{name}"] = [row[column] for row in result.rows]
        for column, name in enumerate(counted, len(told)):
            values[f"directory.{table}.{name}"] = {"count": sum(bool(row[column]) for row in result.rows)}
    return values


def _select(table: str, where: str, columns: Sequence[str]) -> str:
    return f"SELECT {', '.join(columns)} FROM {table} WHERE {where} LIMIT 1000"  # noqa: S608  # of constants
