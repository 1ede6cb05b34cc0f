"""What this device has verified of its account: the log, each device's chain, the device log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import cbor2

from echolia.client.database import Database
from echolia.client.verifier import Head, Known, VerifiedRun
from echolia.core import canonical
from echolia.core.device_entries import SignedEntry, entry_hash
from echolia.core.device_log import DeviceLog
from echolia.core.errors import EcholiaError
from echolia.core.positions import NOTHING_SEEN, LogPosition, log_start
from echolia.core.runs import chain_start

_REMEMBERED_MS: Final = 180 * 86_400_000  # twice as long as a device may be away before it is parked


@dataclass(frozen=True, slots=True)
class LocalHead:
    """The last change written here, sent or not."""

    counter: int
    chain: bytes


def position(database: Database, account: bytes) -> LogPosition:
    """How far the log is verified; `NOTHING_SEEN` before the first answer."""
    epoch = database.get("epoch")
    if epoch is None:
        return NOTHING_SEEN
    row = database.row("SELECT seq, log FROM runs ORDER BY seq DESC LIMIT 1")
    return LogPosition(epoch, *row) if row else base(database, account, epoch)


def base(database: Database, account: bytes, epoch: int) -> LogPosition:
    """Where what is known of the log begins: its start, or a checkpoint."""
    row = database.row("SELECT seq, log FROM base")
    return LogPosition(epoch, *row) if row else log_start(account, epoch)


def log_at(database: Database, account: bytes, epoch: int, seq: int) -> bytes | None:
    """The log's hash after position `seq`, if a run that is known ends there."""
    start = base(database, account, epoch)
    if seq == start.seq:
        return start.log
    found: bytes | None = database.value("SELECT log FROM runs WHERE seq = ?", seq)
    return found


def received_ms(database: Database, device: bytes, counter: int) -> int | None:
    """When the server logged a change, ms since 1970; None if that is not verified here, or forgotten."""
    row = database.row(
        "SELECT first, received_ms FROM runs WHERE device = ? AND last >= ? ORDER BY last LIMIT 1",
        device, counter,
    )  # fmt: skip
    return row[1] if row is not None and (row[0] or 0) <= counter else None


def heads(database: Database) -> dict[bytes, Head]:
    """Each device's last change in the verified log."""
    rows = database.rows("SELECT device, counter, chain FROM heads")
    return {device: Head(counter, chain) for device, counter, chain in rows}


def former_heads(database: Database) -> dict[bytes, Head]:
    """The same before the log is read again; empty unless it is."""
    rows = database.rows("SELECT device, counter, chain FROM rebase_heads")
    return {device: Head(counter, chain) for device, counter, chain in rows}


def known(database: Database, account: bytes, own: bytes = b"") -> Known:
    """Everything a page is verified against."""
    at = position(database, account)
    return Known(
        account=account,
        position=at,
        received_ms=last_received_ms(database),
        heads=heads(database),
        devices=device_log(database).devices,
        log_at=lambda seq: log_at(database, account, at.epoch, seq),
        base_seq=base(database, account, at.epoch).seq,
        former=former_heads(database),
        own=own,
    )


def last_received_ms(database: Database) -> int:
    """When the server logged the newest run that is known, ms since 1970; 0 before the first."""
    found: int | None = database.value("SELECT received_ms FROM runs ORDER BY seq DESC LIMIT 1")
    return found or database.value("SELECT received_ms FROM base") or 0


def advance(database: Database, run: VerifiedRun) -> None:
    """Take a verified run into the record."""
    header, after = run.header, run.after
    database.put("epoch", after.epoch)
    database.run(
        "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?)",
        after.seq, after.log, header.device, header.last, run.received_ms, header.first,
    )  # fmt: skip
    if header.last > (database.value("SELECT counter FROM heads WHERE device = ?", header.device) or 0):
        database.run("INSERT OR REPLACE INTO heads VALUES (?, ?, ?)", header.device, header.last, run.chain)


def begin_at(database: Database, at: LogPosition, received_ms: int, known: Mapping[bytes, Head]) -> None:
    """The log is known from this position on, where the devices had these heads."""
    database.put("epoch", at.epoch)
    database.run("INSERT OR REPLACE INTO base VALUES (0, ?, ?, ?)", at.seq, at.log, received_ms)
    for device, head in known.items():
        database.run("INSERT OR REPLACE INTO heads VALUES (?, ?, ?)", device, *head)


def trim(database: Database) -> None:
    """Forget the log's oldest links: nobody who still counts has seen so little of it."""
    before_ms = last_received_ms(database) - _REMEMBERED_MS
    row = database.row(
        "SELECT seq, log, received_ms FROM runs WHERE received_ms < ? ORDER BY seq DESC LIMIT 1", before_ms
    )
    if row is not None:
        with database.transaction():
            database.run("INSERT OR REPLACE INTO base VALUES (0, ?, ?, ?)", *row)
            database.run("DELETE FROM runs WHERE seq <= ?", row[0])


def local_head(database: Database, account: bytes, device: bytes) -> LocalHead:
    """This device's last change, wherever it is by now."""
    row = database.row(
        "SELECT * FROM (SELECT counter, chain FROM outbox ORDER BY counter DESC LIMIT 1)"
        " UNION ALL SELECT counter, chain FROM heads WHERE device = ?1"
        " UNION ALL SELECT counter, chain FROM rebase_heads WHERE device = ?1 ORDER BY counter DESC LIMIT 1",
        device,
    )
    return LocalHead(*row) if row else LocalHead(0, chain_start(account, device))


def chained(chain: bytes, change: bytes) -> bytes:
    """A device's chain hash after one more change."""
    return sha256(chain + sha256(change).digest()).digest()


def device_log(database: Database) -> DeviceLog:
    """The verified device log: whole when a home is opened, so that damage shows early, then what is new."""
    known = database.device_log
    if known is None or _entry_hash_at(database, known.length - 1) != known.head:
        known = DeviceLog.replay(device_entries(database))
    for signed in device_entries(database, known.length):
        known = known.extend(signed)
    database.device_log = known
    return known


def _entry_hash_at(database: Database, n: int) -> bytes | None:
    entry = database.value("SELECT entry FROM device_log WHERE n = ?", n)
    return None if entry is None else entry_hash(entry)


def device_entries(database: Database, start: int = 0) -> list[SignedEntry]:
    """The entries of the device log from `start` on; raises `home_damaged`."""
    rows = database.rows("SELECT entry, signatures FROM device_log WHERE n >= ? ORDER BY n", start)
    return [SignedEntry(entry, _signatures(raw)) for entry, raw in rows]


def _signatures(raw: bytes) -> dict[str, bytes]:
    try:
        signatures = canonical.parse(raw)
    except ValueError:
        signatures = None
    if not isinstance(signatures, dict):
        raise EcholiaError("home_damaged", "its device log cannot be read")
    return signatures


def add_device_entry(database: Database, n: int, entry: SignedEntry) -> None:
    """Keep one more verified entry of the device log."""
    signatures = cbor2.dumps(dict(entry.signatures))
    database.run("INSERT OR IGNORE INTO device_log VALUES (?, ?, ?)", n, entry.entry, signatures)
