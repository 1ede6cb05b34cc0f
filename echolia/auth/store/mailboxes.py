"""Pairing's mailboxes: opened by a member, known to the guest by a token's hash, gone soon."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal

from echolia.auth.store import accounts
from echolia.core.device_entries import SignedEntry
from echolia.core.device_log import DeviceLog
from echolia.storage.engine import Database, Statement

WRONG_TOKENS: Final = 3


async def open_mailbox(
    db: Database, mailbox: bytes, account: bytes, token_hash: bytes, expires_ms: int
) -> None:
    """Open a mailbox in place of the account's former one."""
    await db.batch(
        [
            Statement("DELETE FROM mailboxes WHERE account = ?", (account,)),
            Statement(
                "INSERT INTO mailboxes (mailbox, account, token_hash, expires_ms)"
                " SELECT ?1, ?2, ?3, ?4 FROM accounts WHERE account = ?2 AND deleting = 0",
                (mailbox, account, token_hash, expires_ms),
            ),
        ]
    )


async def owned(db: Database, mailbox: bytes, account: bytes, now_ms: int) -> bool:
    """Whether the mailbox is there and the account's."""
    sql = "SELECT 1 FROM mailboxes WHERE mailbox = ? AND account = ? AND expires_ms > ?"
    (found,) = await db.batch([Statement(sql, (mailbox, account, now_ms))], tx=False)
    return bool(found.rows)


async def admit_guest(
    db: Database, mailbox: bytes, token_hash: bytes, now_ms: int
) -> Literal["admitted", "wrong", "unknown"]:
    """Whether the token is the mailbox's; the third wrong one ends the mailbox."""
    wrong, ended, found = await db.batch(
        [
            Statement(
                "UPDATE mailboxes SET wrong_tokens = wrong_tokens + 1"
                " WHERE mailbox = ? AND token_hash <> ? AND expires_ms > ?",
                (mailbox, token_hash, now_ms),
            ),
            Statement(
                "DELETE FROM mailboxes WHERE mailbox = ? AND wrong_tokens >= ?", (mailbox, WRONG_TOKENS)
            ),
            Statement("SELECT 1 FROM mailboxes WHERE mailbox = ? AND expires_ms > ?", (mailbox, now_ms)),
        ]
    )
    if ended.changed or not found.rows:
        return "unknown"
    return "wrong" if wrong.changed else "admitted"


async def put_message(db: Database, mailbox: bytes, side: str, n: int, message: bytes, now_ms: int) -> bool:
    """Put a message; False if another is there, or the pairing was confirmed already."""
    _, found = await db.batch(
        [
            Statement(
                "INSERT INTO mailbox_messages (mailbox, side, n, message) SELECT ?1, ?2, ?3, ?4"
                " FROM mailboxes WHERE mailbox = ?1 AND expires_ms > ?5 AND confirmed = 0"
                " ON CONFLICT DO NOTHING",
                (mailbox, side, n, message, now_ms),
            ),
            Statement(
                "SELECT 1 FROM mailbox_messages WHERE mailbox = ? AND side = ? AND n = ? AND message = ?",
                (mailbox, side, n, message),
            ),
        ]
    )
    return bool(found.rows)


async def message_of(
    db: Database, mailbox: bytes, side: str, n: int, now_ms: int
) -> tuple[bool, bytes | None]:
    """Whether the mailbox is there (still), and that side's message n, if it came."""
    there, found = await db.batch(
        [
            Statement("SELECT 1 FROM mailboxes WHERE mailbox = ? AND expires_ms > ?", (mailbox, now_ms)),
            Statement(
                "SELECT message FROM mailbox_messages WHERE mailbox = ? AND side = ? AND n = ?",
                (mailbox, side, n),
            ),
        ],
        tx=False,
    )
    rows: list[Any] = found.rows
    return bool(there.rows), rows[0][0] if rows else None


async def confirm(
    db: Database,
    mailbox: bytes,
    grown: DeviceLog,
    log: DeviceLog,
    signed: SignedEntry,
    boxes: Iterable[accounts.KeyBoxRow],
    message: bytes,
    now_ms: int,
) -> bool:
    """Append the `add` entry that makes `log` into `grown`, with its key boxes and the owner's message 2, or
    nothing.

    False if the log moved on, or the mailbox is not there or was confirmed before. Raises:
    `ConstraintViolated` where the new device belongs to an account.
    """
    changes = [
        *accounts.addition(log, grown, boxes, now_ms),
        Statement(
            "INSERT INTO mailbox_messages (mailbox, side, n, message) SELECT ?2, 'owner', 2, ?3"
            f" WHERE {accounts.APPENDED}",
            (log.account, mailbox, message),
        ),
        Statement(
            f"UPDATE mailboxes SET confirmed = 1 WHERE mailbox = ?2 AND {accounts.APPENDED}",  # noqa: S608
            (log.account, mailbox),
        ),
    ]
    still_open = (
        "EXISTS (SELECT 1 FROM mailboxes m WHERE m.mailbox = ?6 AND m.account = ?1 AND m.expires_ms > ?7"
        " AND m.confirmed = 0)"
    )
    results = await db.batch(accounts.append(log, signed, changes, still_open, mailbox, now_ms))
    return results[-1].changed == 1


async def close_mailbox(db: Database, mailbox: bytes, account: bytes) -> bool:
    """Remove a mailbox; False if the account has no such one."""
    sql = "DELETE FROM mailboxes WHERE mailbox = ? AND account = ?"
    (result,) = await db.batch([Statement(sql, (mailbox, account))])
    return result.changed == 1
