"""Resets: a server that does not know the account any more is named so, not taken for an emptied one."""

from __future__ import annotations

from typing import Final

from echolia.client.database import Database
from echolia.core.errors import EcholiaError

# What a server answers that has no such account, or has lost its data: after a deletion too.
_UNKNOWN_THERE: Final = {"account_unknown", "storage_missing"}


def named(database: Database, error: EcholiaError) -> EcholiaError:
    """The error, or `server_reset` where this home was synced with the server before."""
    if error.code in _UNKNOWN_THERE and database.get("last_sync_ms") is not None:
        return EcholiaError("server_reset", f"it says {error.code}")
    return error
