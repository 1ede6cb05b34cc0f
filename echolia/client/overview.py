"""Overview: how a home stands and which devices its account has, from what is known here."""

from __future__ import annotations

from pathlib import Path

from echolia.client import brakes, evidence, late, ledger, notices, quotas, receipts
from echolia.client.database import Database
from echolia.client.replica import Replica
from echolia.client.reports import Kept
from echolia.client.standing import LoggedDevice, Quarantined, Status


def status(replica: Replica, server: str, home: Path, kept: Kept) -> Status:
    """See `Device.status`."""
    database, identity = replica.database, replica.identity
    at = ledger.position(database, identity.account)
    return Status(
        account=identity.account.hex(),
        device=identity.device.hex(),
        server=server,
        home=home,
        objects=_objects(database),
        trash=database.value("SELECT count(*) FROM objects WHERE NOT alive"),
        conflicts=database.value("SELECT count(*) FROM objects WHERE conflicts AND alive"),
        pending=database.value("SELECT count(*) FROM outbox"),
        epoch=at.epoch,
        seq=at.seq,
        last_sync_ms=database.get("last_sync_ms"),
        quarantined=_quarantined(database),
        evidence=evidence.kept(database),
        devices=len(ledger.device_log(database).active()),
        notices=notices.untold(database),
        recovered=database.value("SELECT count(*) FROM objects WHERE recovered"),
        late=late.count(database),
        held=quotas.kept_held(database),
        not_everywhere=receipts.not_everywhere(replica),
        brake=brakes.waiting(database),
        generation=identity.secrets.generation,
        drilled_ms=database.get("drilled_ms"),
        secrets=kept,
    )


def devices(replica: Replica) -> list[LoggedDevice]:
    """See `Device.devices`."""
    database, identity = replica.database, replica.identity
    heads = ledger.heads(database)
    synced = dict(database.rows("SELECT device, seq FROM acks"))
    if database.get("acknowledged"):
        synced[identity.device] = ledger.position(database, identity.account).seq
    return [
        LoggedDevice(
            device.device.hex(),
            device.device == identity.device,
            device.added_n,
            device.revoked is not None,
            heads[device.device].counter if device.device in heads else 0,
            synced.get(device.device),
            device.confirmed,
            device.by.hex(),
        )
        for device in ledger.device_log(database).devices.values()
    ]


def _objects(database: Database) -> dict[str, int]:
    rows = database.rows(
        "SELECT collection, count(*) FROM objects WHERE alive GROUP BY collection ORDER BY 1"
    )
    return dict(rows)


def _quarantined(database: Database) -> tuple[Quarantined, ...]:
    rows = database.rows(
        "SELECT object, device, counter, code FROM quarantine ORDER BY object, device, counter"
    )
    return tuple(
        Quarantined(object_.hex(), device.hex(), counter, code) for object_, device, counter, code in rows
    )
