"""What live streams leave of an account in the directory for a moment, told to it (`spec/ledger.md`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from echolia.core.ids import b64
from echolia.storage.engine import Database, Statement
from echolia.web.context import Fact, facts_of

_TICKET: Final = "Opens one stream where no header can be set; gone within two minutes."
_NOTICE: Final = "Server processes tell each other where they share a database; gone within two minutes."

WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "directory.live_tickets.hash": ("tickets for live streams, as hashes", _TICKET),
    "directory.live_tickets.account": ("the account the tickets are of", _TICKET),
    "directory.live_tickets.device": ("the devices they were given to", _TICKET),
    "directory.live_tickets.token_expires_s": ("when their access tokens end", _TICKET),
    "directory.live_tickets.token_issued_ms": ("when those were made", _TICKET),
    "directory.live_tickets.expires_ms": ("when the last ticket ends", _TICKET),
    "directory.live_notices.id": ("notices about the account's log", _NOTICE),
    "directory.live_notices.sender": ("which process told them", _NOTICE),
    "directory.live_notices.account": ("the account they are about", _NOTICE),
    "directory.live_notices.device": ("devices whose streams ended", _NOTICE),
    "directory.live_notices.epoch": ("in which epoch the log moved", _NOTICE),
    "directory.live_notices.seq": ("where to", _NOTICE),
    "directory.live_notices.told_ms": ("when the last one was told", _NOTICE),
}
_TICKETS: Final = """
SELECT count(*), max(token_expires_s), max(token_issued_ms), max(expires_ms)
FROM live_tickets WHERE account = ?
"""
_DEVICES: Final = "SELECT DISTINCT device FROM live_tickets WHERE account = ? ORDER BY device"
_NOTICES: Final = "SELECT count(*), max(seq), max(told_ms) FROM live_notices WHERE account = ?"


@dataclass(frozen=True, slots=True)
class LiveLedger:
    """A `web.context.Keeper`: tickets, and notices between processes."""

    db: Database

    async def facts(self, account: bytes) -> list[Fact]:
        """See `Keeper.facts`."""
        tickets, devices, notices = await self.db.batch(
            [Statement(sql, (account,)) for sql in (_TICKETS, _DEVICES, _NOTICES)], tx=False
        )
        (count, token_expires_s, token_issued_ms, expires_ms) = tickets.rows[0]
        (told, seq, told_ms) = notices.rows[0]
        whose = b64(account)
        values = {
            "hash": count,
            "account": whose,
            "device": [b64(device) for (device,) in devices.rows if isinstance(device, bytes)],
            "token_expires_s": {"at_ms": int(token_expires_s or 0) * 1000},
            "token_issued_ms": {"at_ms": token_issued_ms or 0},
            "expires_ms": {"at_ms": expires_ms or 0},
        }
        moved = {
            "id": told,
            "sender": told,
            "account": whose,
            "device": told,
            "epoch": told,
            "seq": seq,
            "told_ms": {"at_ms": told_ms or 0},
        }
        found = {f"directory.live_tickets.{name}": value for name, value in values.items()}
        found |= {f"directory.live_notices.{name}": value for name, value in moved.items()}
        return facts_of(WORDS, found)
