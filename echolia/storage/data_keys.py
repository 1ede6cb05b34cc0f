"""The key of each account that its snapshots are sealed under; it is gone with the account."""

from __future__ import annotations

from typing import Any, Final

from echolia.storage.engine import Database, Statement

KEY_BYTES: Final = 32
_KEY: Final = "SELECT key FROM data_keys WHERE account = ?"
_MAKE: Final = "INSERT INTO data_keys (account, key) VALUES (?, ?) ON CONFLICT (account) DO NOTHING"


async def data_key(directory: Database, account: bytes) -> bytes | None:
    """The account's key, if it has one."""
    (found,) = await directory.batch([Statement(_KEY, (account,))], tx=False)
    return _key(found.rows)


async def made_data_key(directory: Database, account: bytes, fresh: bytes) -> bytes:
    """The account's key, which is `fresh` (32 random bytes) from now on where it had none."""
    _, found = await directory.batch([Statement(_MAKE, (account, fresh)), Statement(_KEY, (account,))])
    key = _key(found.rows)
    assert key is not None
    return key


async def forget_data_key(directory: Database, account: bytes) -> None:
    """Nobody reads what was sealed under the account's key any more."""
    await directory.batch([Statement("DELETE FROM data_keys WHERE account = ?", (account,))])


def _key(rows: list[Any]) -> bytes | None:
    return rows[0][0] if rows else None
