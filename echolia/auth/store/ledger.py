"""What the directory holds of one account, in numbers and ids, for its ledger (`spec/ledger.md`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from echolia.auth.store.accounts import tombstone
from echolia.storage.engine import Database, Statement

# A list of an account's own ends there; so many rows of tables that grow with use are looked at.
MOST_LISTED: Final = 1000
MOST_CHALLENGES: Final = 10_000
MOST_TOKENS: Final = 20_000

_ACCOUNT: Final = "SELECT created_ms, log_length, log_head, deleting FROM accounts WHERE account = ?"
_TOMBSTONES: Final = "SELECT count(*) FROM tombstones WHERE hash = ?"
_LOG: Final = """
SELECT count(*), coalesce(sum(length(entry)), 0), coalesce(sum(length(signatures)), 0)
FROM device_log WHERE account = ?
"""
_DEVICES: Final = (
    "SELECT device, sign, revoked_ms, added_ms FROM devices WHERE account = ?"  # noqa: S608
    f" ORDER BY device LIMIT {MOST_LISTED}"
)
_RECOVERY: Final = "SELECT recovery, sign FROM recoveries WHERE account = ?"
_BOXES: Final = (
    "SELECT recipient, count(*), max(generation), sum(length(box)), sum(length(signature))"  # noqa: S608
    f" FROM key_boxes WHERE account = ? GROUP BY recipient LIMIT {MOST_LISTED}"
)
_SIGNERS: Final = (
    f"SELECT DISTINCT signer FROM key_boxes WHERE account = ? ORDER BY signer LIMIT {MOST_LISTED}"  # noqa: S608
)
# No index leads from a device to its challenges, so all that there are have to be looked at.
_CHALLENGES: Final = f"""
SELECT count(*), count(CASE WHEN own THEN 1 END), max(CASE WHEN own THEN expires_ms END) FROM (
    SELECT device IN (SELECT device FROM devices WHERE account = ?) AS own, expires_ms
    FROM challenges LIMIT {MOST_CHALLENGES + 1}
) AS looked_at"""  # noqa: S608
_TOKENS: Final = f"""
SELECT device, count(*), count(used_ms), count(DISTINCT family), max(expires_ms), max(used_ms) FROM (
    SELECT device, used_ms, family, expires_ms FROM refresh_tokens WHERE account = ? LIMIT {MOST_TOKENS}
) AS looked_at GROUP BY device
"""  # noqa: S608
_MAILBOX: Final = "SELECT mailbox, expires_ms, wrong_tokens, confirmed FROM mailboxes WHERE account = ?"
_MESSAGES: Final = """
SELECT side, count(*), sum(length(message)) FROM mailbox_messages JOIN mailboxes USING (mailbox)
WHERE account = ? GROUP BY side
"""


class Boxes(NamedTuple):
    """The key boxes for one recipient."""

    count: int  # type: ignore[assignment]  # the plain word; the tuple's method of that name is not used
    newest: int
    box_bytes: int
    signature_bytes: int


class Tokens(NamedTuple):
    """The refresh tokens of one device; `used_ms` is when one was used last, None if none was."""

    count: int  # type: ignore[assignment]  # as above
    used: int
    sign_ins: int
    expires_ms: int
    used_ms: int | None


class Mailbox(NamedTuple):
    """The account's open mailbox; its messages by side as (count, bytes)."""

    mailbox: bytes
    expires_ms: int
    wrong_tokens: int
    confirmed: bool
    messages: dict[str, tuple[int, int]]


class Held(NamedTuple):
    """All that the directory holds of an account.

    `log_bytes` are the device log's entries, their bytes, their signatures' bytes; `devices` by id have their
    key, when they were revoked and when they were added; `challenges` (count, latest expiry) is None where
    there are too many to look at.
    """

    created_ms: int
    log_length: int
    log_head: bytes
    deleting: bool
    tombstones: int
    log_bytes: tuple[int, int, int]
    devices: dict[bytes, tuple[bytes, int | None, int]]
    recovery: tuple[bytes, bytes] | None
    boxes: dict[bytes, Boxes]
    signers: list[bytes]
    challenges: tuple[int, int | None] | None
    tokens: dict[bytes, Tokens]
    mailbox: Mailbox | None


async def held(db: Database, account: bytes) -> Held | None:
    """All of it, in one unit of work; None if there is no such account."""
    of_account = (
        _ACCOUNT, _LOG, _DEVICES, _RECOVERY, _BOXES, _SIGNERS, _CHALLENGES, _TOKENS, _MAILBOX, _MESSAGES,
    )  # fmt: skip
    statements = [Statement(sql, (account,)) for sql in of_account]
    results = await db.batch([*statements, Statement(_TOMBSTONES, (tombstone(account),))], tx=False)
    accounts, log, devices, recovery, boxes, signers, challenges, tokens, mailboxes, messages, gone = (
        _typed(result.rows) for result in results
    )
    if not accounts:
        return None
    created_ms, log_length, log_head, deleting = accounts[0]
    looked_at, own, expires_ms = challenges[0]
    entries, *sizes = log[0]
    return Held(
        created_ms,
        log_length,
        log_head,
        bool(deleting),
        gone[0][0],
        (entries, *map(int, sizes)),
        {device: (sign, revoked_ms, added_ms) for device, sign, revoked_ms, added_ms in devices},
        recovery[0] if recovery else None,
        {recipient: Boxes(*map(int, numbers)) for recipient, *numbers in boxes},
        [signer for (signer,) in signers],
        None if looked_at > MOST_CHALLENGES else (int(own), expires_ms),
        {device: Tokens(*numbers) for device, *numbers in tokens},
        _mailbox(mailboxes, messages),
    )


def _mailbox(mailboxes: Sequence[Any], messages: Sequence[Any]) -> Mailbox | None:
    if not mailboxes:
        return None
    mailbox, expires_ms, wrong_tokens, confirmed = mailboxes[0]
    by_side = {side: (count, int(size)) for side, count, size in messages}
    return Mailbox(mailbox, expires_ms, wrong_tokens, bool(confirmed), by_side)


def _typed(rows: list[Any]) -> Any:
    """Rows of a STRICT table: their columns have the types that the schema gives them."""
    return rows
