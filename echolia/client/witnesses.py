"""The other devices' signed acknowledgements as witnesses: what they verified, this device must be shown too.

A server that withholds news looks like one that has none, until a device has signed that it saw them. The
acknowledgements are asked for before a pull, and compared with what the pull led to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from echolia.client import ledger, notices, rebasing
from echolia.client.database import Database
from echolia.client.identity import Identity
from echolia.client.replica import Replica
from echolia.client.session import bytes_of
from echolia.core import canonical
from echolia.core.device_entries import entry_hash
from echolia.core.device_log import DeviceLog
from echolia.core.errors import EcholiaError
from echolia.core.messages import ack_message
from echolia.core.positions import LogPosition
from echolia.core.runs import MAX_COUNTER
from echolia.core.signing import verify


class Ack(NamedTuple):
    """What a device signed: how far it verified the log, and which device log it held."""

    device: bytes
    verified: LogPosition
    n: int
    head: bytes
    signature: bytes


def read_acks(status: Mapping[str, Any]) -> list[Ack]:
    """The acknowledgements of `GET /sync/status`; raises `server_invalid`."""
    acks = status.get("acks")
    if not isinstance(acks, list):
        raise EcholiaError("server_invalid", "expected acknowledgements")
    return [_read(fields) for fields in acks]


def _read(fields: object) -> Ack:
    if not isinstance(fields, dict) or not isinstance(fields.get("devices"), dict):
        raise EcholiaError("server_invalid", "expected an acknowledgement")
    devices = fields["devices"]
    epoch, seq, n = (_number(each) for each in (fields.get("epoch"), fields.get("seq"), devices.get("n")))
    return Ack(
        bytes_of(fields, "device", 16),
        LogPosition(epoch, seq, bytes_of(fields, "log", 32)),
        n,
        bytes_of(devices, "head", 32),
        bytes_of(fields, "signature"),
    )


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_COUNTER:
        raise EcholiaError("server_invalid", "expected an acknowledgement")
    return value


def check_epoch(replica: Replica, status: Mapping[str, Any]) -> None:
    """A server that came back from a backup says so by its epoch: then the log has to be read again."""
    database, account, epoch = replica.database, replica.identity.account, status.get("epoch")
    if type(epoch) is not int or not 1 <= epoch <= MAX_COUNTER:
        raise EcholiaError("server_invalid", "epoch out of range")
    if ledger.position(database, account).epoch not in (0, epoch):
        rebasing.begin(replica, "restored")


def check_head(replica: Replica, status: Mapping[str, Any]) -> None:
    """Compare the log's length in `GET /sync/status` with what this device verified before, in this epoch.

    A server that lost the end of its log refuses pushes and cursors (`seen_unknown`, `cursor_ahead`): this is
    met first, and by its name. Raises `log_rolled_back`.
    """
    at, head = ledger.position(replica.database, replica.identity.account), status.get("head")
    if not isinstance(head, dict):
        raise EcholiaError("server_invalid", "expected the log's head")
    seq = _number(head.get("seq"))
    if status.get("epoch") == at.epoch and seq < at.seq:
        raise EcholiaError("log_rolled_back", f"at {seq}, this device verified {at.seq}")


def check(replica: Replica, acks: list[Ack]) -> None:
    """Compare what others verified with what this device was shown after they said so.

    Raises `log_rolled_back` if it was shown less, `history_forked` if something else. What a revoked device
    says counts for nothing, nor does what nobody signed.
    """
    database, identity = replica.database, replica.identity
    log, at = ledger.device_log(database), ledger.position(database, identity.account)
    for ack in acks:
        device = log.devices.get(ack.device)
        if ack.device == identity.device or device is None or device.revoked or not _signed(log, ack):
            continue
        _check_devices(replica, log, ack)
        if ack.verified.epoch == at.epoch:
            _check_log(replica, at, ack)
            told = (at.epoch, ack.verified.seq)
            known = database.row("SELECT epoch, seq FROM acks WHERE device = ?", ack.device)
            # An older one is true as well, but says less.
            if known is None or known[0] != at.epoch or known < told:
                database.run("INSERT OR REPLACE INTO acks VALUES (?, ?, ?)", ack.device, *told)


def own_ack(identity: Identity, verified: LogPosition, log: DeviceLog) -> dict[str, Any]:
    """This device's word of how far it verified, as a pairing carries it (`spec/pairing.md#messages`)."""
    message = ack_message(identity.account, identity.device, verified, log.length, log.head)
    return {**verified._asdict(), "signature": identity.keys.sign(message)}


def read_vouched(fields: object, log: DeviceLog, by: bytes) -> Ack:
    """What the device that adds this one has verified, with the device log that it sent.

    Raises `pairing_failed`.
    """
    epoch, seq, hash_, signature = _fields(fields, "epoch", "seq", "log", "signature")
    numbers = all(type(number) is int and 0 <= number <= MAX_COUNTER for number in (epoch, seq))
    if not numbers or not isinstance(hash_, bytes) or not isinstance(signature, bytes) or len(hash_) != 32:
        raise EcholiaError("pairing_failed", "the acknowledgement has another form")
    ack = Ack(by, LogPosition(epoch, seq, hash_), log.length, log.head, signature)
    if not _signed(log, ack):
        raise EcholiaError("pairing_failed", "the acknowledgement is not of that device and device log")
    return ack


def _fields(fields: object, *names: str) -> list[Any]:
    known = fields if isinstance(fields, dict) and fields.keys() == set(names) else {}
    return [known.get(name) for name in names]


def keep_vouched(database: Database, ack: Ack) -> None:
    """Keep what the adding device verified: this one has seen nothing yet and must be shown as much."""
    if ack.verified.epoch:
        parts = [ack.device, *ack.verified, ack.n, ack.head, ack.signature]
        database.put("vouched", canonical.encode(parts))


def check_vouched(replica: Replica) -> None:
    """Compare what a new device was shown with what the one that added it had verified, until it did once.

    Raises `log_rolled_back`, `history_forked`.
    """
    database, environment = replica.database, replica.environment
    raw = database.get("vouched")
    if raw is None:
        return
    device, epoch, seq, hash_, *rest = canonical.decode(raw)
    check(replica, [Ack(device, LogPosition(epoch, seq, hash_), *rest)])
    if ledger.position(database, replica.identity.account).epoch != epoch:
        notices.add(database, "server_restored", environment.now_ms())
    database.run("DELETE FROM meta WHERE name = 'vouched'")


def _signed(log: DeviceLog, ack: Ack) -> bool:
    message = ack_message(log.account, ack.device, ack.verified, ack.n, ack.head)
    return verify(log.devices[ack.device].sign, message, ack.signature)


def _check_devices(replica: Replica, log: DeviceLog, ack: Ack) -> None:
    if ack.n > log.length:
        raise EcholiaError("log_rolled_back", f"another device saw a device log of {ack.n} entries")
    entries = ledger.device_entries(replica.database)
    if ack.n and entry_hash(entries[ack.n - 1].entry) != ack.head:
        raise EcholiaError("history_forked", f"another device saw another device log at {ack.n}")


def _check_log(replica: Replica, at: LogPosition, ack: Ack) -> None:
    seen = ack.verified
    if seen.seq > at.seq:
        raise EcholiaError(
            "log_rolled_back", f"another device verified {seen.seq}, this one was shown {at.seq}"
        )
    account = replica.identity.account
    if seen.seq < ledger.base(replica.database, account, at.epoch).seq:
        return  # forgotten here, since all who count have seen more
    if ledger.log_at(replica.database, account, at.epoch, seen.seq) != seen.log:
        raise EcholiaError("history_forked", f"another device saw another log at {seen.seq}")
