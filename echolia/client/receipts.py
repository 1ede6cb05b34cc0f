"""Receipts: which devices hold an object's newest version, by the acknowledgements that they signed.

A device holds a version if it has verified the log up to where that version's change stands. What it could
not read (`Status.quarantined` over there) it holds too: nobody else learns of that.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from echolia.client import ledger
from echolia.client.database import Database
from echolia.client.replica import Replica
from echolia.client.reports import Receipt
from echolia.core.errors import EcholiaError

_NEWEST: Final = """
SELECT shown NOTNULL, epoch, newest FROM objects LEFT JOIN places ON places.object = objects.id
WHERE objects.id = ? AND collection = ?
"""
_MISSING: Final = """
SELECT count(*) FROM places JOIN objects ON objects.id = places.object
WHERE (epoch <> ?1 OR (epoch = ?1 AND newest > ?2)) AND object NOT IN (SELECT object FROM outbox)
"""


def of(replica: Replica, collection: str, id_: bytes) -> Receipt:
    """See `Collection.receipt`; raises `object_unknown`."""
    row = replica.database.row(_NEWEST, id_, collection)
    if row is None:
        raise EcholiaError("object_unknown")
    return _receipt(replica, row, _acknowledged(replica))


def of_many(replica: Replica, collection: str, ids: Iterable[bytes]) -> dict[str, Receipt]:
    """See `Collection.receipts`."""
    acknowledged = _acknowledged(replica)
    found = ((id_, replica.database.row(_NEWEST, id_, collection)) for id_ in ids)
    return {id_.hex(): _receipt(replica, row, acknowledged) for id_, row in found if row is not None}


def not_everywhere(replica: Replica) -> int:
    """How many objects some device does not hold in their newest version."""
    database, identity = replica.database, replica.identity
    pending: int = database.value("SELECT count(DISTINCT object) FROM outbox")
    others = [seq for device, seq in _acknowledged(replica).items() if device != identity.device]
    if not others:
        return pending
    at = ledger.position(database, identity.account)
    return pending + int(database.value(_MISSING, at.epoch, min(others)))


def _acknowledged(replica: Replica) -> dict[bytes, int]:
    """How far each device of the account has verified the log of this epoch; revoked ones count for none."""
    database, identity = replica.database, replica.identity
    at = ledger.position(database, identity.account)
    told = _acks(database, at.epoch)
    devices = ledger.device_log(database).active()
    found = {device.device: told.get(device.device, 0) for device in devices}
    return {**found, identity.device: at.seq}


def _acks(database: Database, epoch: int) -> dict[bytes, int]:
    return dict(database.rows("SELECT device, seq FROM acks WHERE epoch = ?", epoch))


def _receipt(replica: Replica, row: tuple[Any, ...], acknowledged: dict[bytes, int]) -> Receipt:
    pending, epoch, newest = row
    own = replica.identity.device
    if pending or epoch != replica.database.get("epoch"):
        holders = {own}
    else:
        holders = {device for device, seq in acknowledged.items() if seq >= newest}
    lacking = [device.hex() for device in acknowledged if device not in holders]
    return Receipt(tuple(sorted(device.hex() for device in holders)), tuple(sorted(lacking)), bool(pending))
