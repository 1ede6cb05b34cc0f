"""Evidence: what a server was caught at, kept with the answer that shows it, and no sync after that."""

from __future__ import annotations

from typing import Final

from echolia.client.database import Database
from echolia.client.session import Refused
from echolia.client.standing import Evidence
from echolia.core.errors import EcholiaError

# What no honest server does, whatever happened to it. A restored one says so by its epoch instead.
CAUGHT: Final = frozenset(
    {
        "chain_broken",
        "device_log_invalid",
        "ghost_device",
        "history_forked",
        "history_withheld",
        "log_rewritten",
        "log_rolled_back",
    }
)
_MOST_ROWS: Final = 16


def check(database: Database) -> None:
    """Raise what the server was caught at before, if it was."""
    row = database.row("SELECT code, detail FROM evidence ORDER BY n LIMIT 1")
    if row is not None:
        raise EcholiaError(*row)


def keep(database: Database, error: EcholiaError, answer: bytes, now_ms: int) -> None:
    """Keep the answer that shows it, if the error is one that a server is caught at, not that it tells."""
    if error.code not in CAUGHT or isinstance(error, Refused) or len(kept(database)) >= _MOST_ROWS:
        return
    with database.transaction():
        database.run(
            "INSERT INTO evidence (at_ms, code, detail, answer) VALUES (?, ?, ?, ?)",
            now_ms, error.code, error.detail, answer,
        )  # fmt: skip


def kept(database: Database) -> tuple[Evidence, ...]:
    """All evidence, oldest first."""
    rows = database.rows("SELECT code, detail, at_ms FROM evidence ORDER BY n")
    return tuple(Evidence(*row) for row in rows)
