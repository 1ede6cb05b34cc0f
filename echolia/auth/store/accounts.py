"""Accounts, their device logs and key boxes, and what stays of deleted ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from echolia.core import canonical
from echolia.core.device_entries import SignedEntry, entry_hash
from echolia.core.device_log import DeviceLog
from echolia.core.ids import device_id
from echolia.storage.engine import Database, Statement

ALWAYS = "1 = 1"
# True only inside a unit of work that has just appended an entry: its row is there, the length not yet moved.
APPENDED = (
    "EXISTS (SELECT 1 FROM accounts a JOIN device_log l ON l.account = a.account AND l.n = a.log_length"
    " WHERE a.account = ?1)"
)


class KeyBoxRow(NamedTuple):
    """A stored key box; `recipient` is a device id, or empty for recovery."""

    recipient: bytes
    generation: int
    box: bytes
    signature: bytes
    signer: bytes


class RecoveryKey(NamedTuple):
    """An account, and the key (Ed25519, public) that its phrase signs by."""

    account: bytes
    sign: bytes


class Taken(NamedTuple):
    """What stands in the way of a registration."""

    account: bool
    device: bool
    deleted: bool


class Ended(NamedTuple):
    """Devices (by id) and accounts (by hash) whose tokens may still be about, each with its time in ms."""

    revoked: dict[bytes, int]
    deleted: dict[bytes, int]


def tombstone(account: bytes) -> bytes:
    """What stays of a deleted account's id."""
    return sha256(b"echolia/1/tombstone" + account).digest()


async def taken(db: Database, account: bytes, device: bytes) -> Taken:
    """Whether the account is here, its first device in any account, or the account was deleted."""
    found = await db.batch(
        [
            Statement("SELECT 1 FROM accounts WHERE account = ?", (account,)),
            Statement("SELECT 1 FROM devices WHERE device = ?", (device,)),
            Statement("SELECT 1 FROM tombstones WHERE hash = ?", (tombstone(account),)),
        ],
        tx=False,
    )
    return Taken(*(bool(result.rows) for result in found))


async def insert(
    db: Database,
    log: DeviceLog,
    genesis: SignedEntry,
    boxes: Iterable[KeyBoxRow],
    now_ms: int,
    also: Statement,
) -> None:
    """Write a new account, and `also` whatever belongs to the same unit of work.

    Raises: `ConstraintViolated` where the account or its device is there.
    """
    (device,) = log.devices.values()
    await db.batch(
        [
            Statement(
                "INSERT INTO accounts (account, created_ms, log_length, log_head) VALUES (?, ?, 1, ?)",
                (log.account, now_ms, log.head),
            ),
            Statement(
                "INSERT INTO device_log (account, n, entry, signatures) VALUES (?, 0, ?, ?)",
                (log.account, genesis.entry, canonical.encode(dict(genesis.signatures))),
            ),
            Statement(
                "INSERT INTO devices (device, account, sign, added_ms) VALUES (?, ?, ?, ?)",
                (device.device, log.account, device.sign, now_ms),
            ),
            _put_recovery(log),
            *(_put_box(log.account, box) for box in boxes),
            also,
        ]
    )


async def listed(db: Database) -> list[bytes]:
    """Every account that is not being deleted."""
    sql = "SELECT account FROM accounts WHERE deleting = 0 ORDER BY account"
    (found,) = await db.batch([Statement(sql)], tx=False)
    return [_bytes(account) for (account,) in found.rows]


async def entries(db: Database, account: bytes, after: int, most: int) -> list[SignedEntry]:
    """The log's entries from number `after` on, at most that many."""
    (found,) = await db.batch(
        [
            Statement(
                "SELECT entry, signatures FROM device_log JOIN accounts USING (account)"
                " WHERE account = ? AND n >= ? AND deleting = 0 ORDER BY n LIMIT ?",
                (account, after, most),
            )
        ],
        tx=False,
    )
    return [
        SignedEntry(_bytes(entry), canonical.decode(_bytes(signatures))) for entry, signatures in found.rows
    ]


def append(
    log: DeviceLog,
    signed: SignedEntry,
    changes: Sequence[Statement],
    only_if: str = ALWAYS,
    *more: bytes | int,
) -> list[Statement]:
    """The unit of work that appends to `log` and makes the `changes`, all or none.

    `only_if` is a further condition over parameters ?6 and on (`more`). The last result says by its `changed`
    whether it took place: not if the log has moved on meanwhile.
    """
    account, signatures = log.account, canonical.encode(dict(signed.signatures))
    return [
        Statement(
            "INSERT INTO device_log (account, n, entry, signatures)"  # noqa: S608
            " SELECT ?1, ?2, ?4, ?5 FROM accounts"
            f" WHERE account = ?1 AND log_length = ?2 AND log_head = ?3 AND deleting = 0 AND {only_if}",
            (account, log.length, log.head, signed.entry, signatures, *more),
        ),
        *changes,
        Statement(
            "UPDATE accounts SET log_length = log_length + 1, log_head = ?2"  # noqa: S608
            f" WHERE account = ?1 AND {APPENDED}",
            (account, entry_hash(signed.entry)),
        ),
    ]


async def has_entry(db: Database, account: bytes, entry: bytes) -> bool:
    """Whether the account's log has an entry of these bytes."""
    sql = "SELECT 1 FROM device_log WHERE account = ? AND entry = ?"
    (found,) = await db.batch([Statement(sql, (account, entry))], tx=False)
    return bool(found.rows)


def addition(
    log: DeviceLog, grown: DeviceLog, boxes: Iterable[KeyBoxRow], now_ms: int
) -> list[Statement]:  # fmt: skip
    """Changes for `append`, which makes `log` into `grown`: one device more, with key boxes.

    The unit of work fails where the device belongs to any account.
    """
    (added,) = (grown.devices[device] for device in grown.devices.keys() - log.devices.keys())
    device = Statement(
        f"INSERT INTO devices (account, device, sign, added_ms) SELECT ?1, ?2, ?3, ?4 WHERE {APPENDED}",
        (log.account, added.device, added.sign, now_ms),
    )
    return [device, *(_put_box(log.account, box, APPENDED) for box in boxes)]


def rotation(grown: DeviceLog, boxes: Iterable[KeyBoxRow]) -> list[Statement]:
    """Changes for `append`, which makes `grown`: the newest generation's boxes in place of all others."""
    former = Statement(
        f"DELETE FROM key_boxes WHERE account = ?1 AND generation < ?2 AND {APPENDED}",  # noqa: S608
        (grown.account, grown.generation),
    )
    put = (_put_box(grown.account, box, APPENDED) for box in boxes)
    return [former, *put, _put_recovery(grown, APPENDED)]


def _put_recovery(log: DeviceLog, condition: str = ALWAYS) -> Statement:
    """What the phrase signs in as from now on."""
    recovery = device_id(log.recovery_sign, log.recovery_box)
    return Statement(
        f"INSERT INTO recoveries (account, recovery, sign) SELECT ?1, ?2, ?3 WHERE {condition}"
        " ON CONFLICT (account) DO UPDATE SET recovery = excluded.recovery, sign = excluded.sign",
        (log.account, recovery, log.recovery_sign),
    )


async def without_recovery(db: Database) -> list[bytes]:
    """Accounts from before it was kept what their phrase signs in as."""
    sql = "SELECT account FROM accounts WHERE deleting = 0 EXCEPT SELECT account FROM recoveries"
    (found,) = await db.batch([Statement(sql)], tx=False)
    return [_bytes(account) for (account,) in found.rows]


async def keep_recovery(db: Database, log: DeviceLog) -> None:
    """Keep what the phrase of this account signs in as."""
    await db.batch([_put_recovery(log)])


async def recovery(db: Database, recovery: bytes) -> RecoveryKey | None:
    """The account whose phrase signs in by this id, if there is one."""
    sql = (
        "SELECT account, sign FROM recoveries JOIN accounts USING (account)"
        " WHERE recovery = ? AND deleting = 0"
    )
    (found,) = await db.batch([Statement(sql, (recovery,))], tx=False)
    return RecoveryKey(*_typed(found.rows)[0]) if found.rows else None


async def added(db: Database, account: bytes) -> dict[bytes, int]:
    """When each of an account's devices was added here, in ms since 1970."""
    sql = "SELECT device, added_ms FROM devices WHERE account = ?"
    (found,) = await db.batch([Statement(sql, (account,))], tx=False)
    return dict(_typed(found.rows))


def revoke_device(account: bytes, device: bytes, now_ms: int) -> list[Statement]:
    """Changes for `append`: the device's sign-ins, refresh tokens and key boxes end."""
    return [
        Statement(
            f"UPDATE devices SET revoked_ms = ?3 WHERE account = ?1 AND device = ?2 AND {APPENDED}",  # noqa: S608
            (account, device, now_ms),
        ),
        Statement(
            f"DELETE FROM refresh_tokens WHERE account = ?1 AND device = ?2 AND {APPENDED}",  # noqa: S608
            (account, device),
        ),
        Statement(
            f"DELETE FROM key_boxes WHERE account = ?1 AND recipient = ?2 AND {APPENDED}",  # noqa: S608
            (account, device),
        ),
    ]


def _put_box(account: bytes, box: KeyBoxRow, condition: str = ALWAYS) -> Statement:
    """One key box; the first of a recipient and generation stays."""
    return Statement(
        "INSERT INTO key_boxes (account, recipient, generation, box, signature, signer)"
        f" SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE {condition} ON CONFLICT DO NOTHING",
        (account, *box),
    )


async def key_boxes(db: Database, account: bytes, recipient: bytes | None) -> list[KeyBoxRow]:
    """The account's key boxes, those of one recipient or (None) all."""
    (found,) = await db.batch(
        [
            Statement(
                "SELECT recipient, generation, box, signature, signer FROM key_boxes"
                " WHERE account = ?1 AND (recipient = ?2 OR ?2 IS NULL) ORDER BY generation, recipient",
                (account, recipient),
            )
        ],
        tx=False,
    )
    return [KeyBoxRow(*row) for row in _typed(found.rows)]


async def ended(db: Database, since_ms: int) -> Ended:
    """Who ended since then."""
    devices, accounts = await db.batch(
        [
            Statement("SELECT device, revoked_ms FROM devices WHERE revoked_ms >= ?", (since_ms,)),
            Statement("SELECT hash, deleted_ms FROM tombstones WHERE deleted_ms >= ?", (since_ms,)),
        ],
        tx=False,
    )
    return Ended(dict(_typed(devices.rows)), dict(_typed(accounts.rows)))


async def begin_deletion(db: Database, account: bytes, now_ms: int) -> None:
    """From now on nobody signs in to this account; a crash does not undo it."""
    await db.batch(
        [
            Statement("UPDATE accounts SET deleting = 1 WHERE account = ?", (account,)),
            Statement(
                "INSERT INTO tombstones (hash, deleted_ms) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (tombstone(account), now_ms),
            ),
        ]
    )


async def deletions(db: Database) -> list[bytes]:
    """Accounts whose deletion has begun."""
    (found,) = await db.batch([Statement("SELECT account FROM accounts WHERE deleting = 1")], tx=False)
    return [_bytes(account) for (account,) in found.rows]


async def delete(db: Database, account: bytes) -> None:
    """Remove all rows of an account; the tombstone stays."""
    of_devices = "DELETE FROM challenges WHERE device IN (SELECT device FROM devices WHERE account = ?)"
    tables = ("recoveries", "mailboxes", "refresh_tokens", "key_boxes", "devices", "device_log", "accounts")
    removals = [Statement(f"DELETE FROM {table} WHERE account = ?", (account,)) for table in tables]  # noqa: S608
    await db.batch([Statement(of_devices, (account,)), *removals])


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value


def _typed(rows: list[Any]) -> Any:
    """Rows of a STRICT table: their columns have the types that the schema gives them."""
    return rows
