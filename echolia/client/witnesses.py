"""The other devices' signed acknowledgements as witnesses: what they verified, this device must be shown too.

A server that withholds news looks like one that has none, until a device has signed that it saw them. The
acknowledgements are asked for before a pull, and compared with what the pull led to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from echolia.client import ledger
from echolia.client.replica import Replica
from echolia.client.session import bytes_of
from echolia.core.device_log import DeviceLog, entry_hash
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
    if ledger.log_at(replica.database, replica.identity.account, at.epoch, seen.seq) != seen.log:
        raise EcholiaError("history_forked", f"another device saw another log at {seen.seq}")
