"""Tickets: what opens one live stream where no header can be set (`spec/sync.md#tickets`)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Protocol

from echolia.core.errors import EcholiaError
from echolia.core.ids import b64, unb64
from echolia.storage.engine import Database, Statement
from echolia.web.context import Caller

TICKET_BYTES: Final = 32
LIFE_MS: Final = 30_000

_INSERT: Final = (
    "INSERT INTO live_tickets (hash, account, device, token_expires_s, token_issued_ms, expires_ms)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
# Whoever deletes the row has the ticket: of two at once one finds it.
_SPEND: Final = (
    "DELETE FROM live_tickets WHERE hash = ?"
    " RETURNING account, device, token_expires_s, token_issued_ms, expires_ms"
)
_SWEEP: Final = "DELETE FROM live_tickets WHERE expires_ms <= ?"


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket's text and its life in seconds."""

    text: str = field(repr=False)
    expires_in: int


class Admits(Protocol):
    """Who may still act."""

    def admits(self, caller: Caller) -> None:
        """Return if the caller may still act; raises `device_revoked`, `account_unknown`, `token_expired`."""
        ...


@dataclass(frozen=True, slots=True)
class Tickets:
    """Tickets in the directory `db`, known by their hashes; `clock_ms` is the server's time."""

    db: Database
    standings: Admits
    clock_ms: Callable[[], int]

    async def issue(self, caller: Caller) -> Ticket:
        """A ticket that speaks for the caller once, and no longer than its token does."""
        now_ms = self.clock_ms()
        ticket = secrets.token_bytes(TICKET_BYTES)
        expires_ms = min(now_ms + LIFE_MS, caller.expires * 1000)
        row = (caller.account, caller.device, caller.expires, caller.issued_ms, expires_ms)
        await self.db.batch([Statement(_INSERT, (_hash(ticket), *row))])
        return Ticket(b64(ticket), (expires_ms - now_ms) // 1000)

    async def spend(self, text: str) -> Caller:
        """Whom the ticket speaks for, as if with the token that it was issued for.

        Raises: `ticket_invalid`, `token_expired`, `device_revoked`, `account_unknown`.
        """
        try:
            ticket = unb64(text, TICKET_BYTES)
        except EcholiaError:
            raise EcholiaError("ticket_invalid") from None
        [spent] = await self.db.batch([Statement(_SPEND, (_hash(ticket),))])
        if not spent.rows:
            raise EcholiaError("ticket_invalid")
        row: tuple[Any, ...] = spent.rows[0]
        *whose, expires_ms = row
        caller, now_ms = Caller(*whose), self.clock_ms()
        if caller.expires * 1000 <= now_ms:
            raise EcholiaError("token_expired")
        if expires_ms <= now_ms:
            raise EcholiaError("ticket_invalid")
        self.standings.admits(caller)
        return caller

    async def sweep(self) -> None:
        """Forget those that nobody came with in time."""
        await self.db.batch([Statement(_SWEEP, (self.clock_ms(),))])


def _hash(ticket: bytes) -> bytes:
    return sha256(b"echolia/1/ticket" + ticket).digest()
