"""The device log as the server serves it: taken only where it continues the one that is verified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from echolia.client import key_boxes, ledger, live_changes, notices, rebasing
from echolia.client.database import Database
from echolia.client.replica import Replica
from echolia.client.session import Session, bytes_of
from echolia.core import canonical
from echolia.core.device_entries import SignedEntry
from echolia.core.device_log import DeviceLog
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64, unb64

_MOST_PAGES: Final = 64


async def fetch_device_log(replica: Replica, session: Session) -> DeviceLog:
    """The device log, verified and kept. Raises `log_rolled_back`, `device_log_invalid`, `server_invalid`."""
    log, brought_back = await replica.run(ledger.device_log, replica.database), False
    for _ in range(_MOST_PAGES):
        answer = await session.ask("GET", f"/auth/devices?after={log.length}")
        held = answer.get("n")
        if type(held) is int and held < log.length and await replica.run(_restored, replica):
            if brought_back:
                raise EcholiaError("server_invalid", "it does not keep the device log's entries")
            brought_back = True
            await _bring_back(replica, session, held)
            continue
        log = await replica.run(_continue, replica, log, answer)
        if not answer.get("more"):
            return log
    raise EcholiaError("server_invalid", "the device log does not end")


def _continue(replica: Replica, log: DeviceLog, answer: Mapping[str, Any]) -> DeviceLog:
    entries, n = answer.get("log"), answer.get("n")
    if not isinstance(entries, list) or type(n) is not int:
        raise EcholiaError("server_invalid", "expected a device log")
    if n < log.length:
        raise EcholiaError("log_rolled_back", f"the device log had {log.length} entries, now {n}")
    with replica.database.transaction():
        for fields in entries:
            entry = read_entry(fields)
            before, log = log, log.extend(entry)
            ledger.add_device_entry(replica.database, log.length - 1, entry)
            _tell(replica, before, log)
            for device in log.devices.values():
                if device.revoked and before.devices[device.device].revoked is None:
                    _cut_off(replica.database, device.device, device.revoked.last)
    if not answer.get("more") and (n != log.length or bytes_of(answer, "head", 32) != log.head):
        raise EcholiaError("device_log_invalid", "the head is not what the entries add up to")
    return log


def _tell(replica: Replica, before: DeviceLog, log: DeviceLog) -> None:
    """What the person has to know of an entry that another device made."""
    own, now_ms = replica.identity.device, replica.environment.now_ms()
    for device in log.devices.keys() - before.devices.keys():
        if own in before.devices and log.devices[device].by != own:
            notices.add(replica.database, "device_added", now_ms)
    if log.recovery_sign != before.recovery_sign and log.rotations[-1].by != own:
        notices.add(replica.database, "phrase_replaced", now_ms)


def _restored(replica: Replica) -> bool:
    return rebasing.due(replica.database) == "restored"


async def _bring_back(replica: Replica, session: Session, held: int) -> None:
    """Give a server that came back from a backup the device log's entries that it has lost."""
    entries = await replica.run(ledger.device_entries, replica.database)
    for n, signed in enumerate(entries[held:], held):
        fields = canonical.decode(signed.entry)
        id_ = b64(fields["device"]) if fields["type"] in {"revoke", "confirm"} else ""
        match fields["type"]:
            case "add":
                await session.ask("POST", "/auth/devices", entry_json(signed))
            case "revoke":
                await session.ask("DELETE", f"/auth/device/{id_}", entry_json(signed))
            case "confirm":
                await session.ask("POST", f"/auth/device/{id_}/confirm", entry_json(signed))
            case _:
                secrets = replica.identity.secrets.until(fields["generation"])
                if secrets is None:
                    return  # a device that has this key brings it back
                log = DeviceLog.replay(entries[: n + 1])
                boxes = key_boxes.for_everybody(secrets, replica.identity.keys, log)
                await session.ask("POST", "/auth/rotate", {**entry_json(signed), "key_boxes": boxes})


def _cut_off(database: Database, device: bytes, last: int) -> None:
    """What the device wrote behind its cut-off no longer counts: if any of that was taken, begin again."""
    if live_changes.any_after(database, device, last):
        database.put("rebase", rebasing.due(database) or "cut_off")
    database.run("DELETE FROM quarantine WHERE device = ? AND counter > ?", device, last)


def read_entry(fields: object) -> SignedEntry:
    """A device log entry from a server's JSON; raises `server_invalid`."""
    if not isinstance(fields, dict) or not isinstance(fields.get("signatures"), dict):
        raise EcholiaError("server_invalid", "expected a device log entry")
    try:
        signatures = {str(signer): unb64(str(value)) for signer, value in fields["signatures"].items()}
        return SignedEntry(bytes_of(fields, "entry"), signatures)
    except EcholiaError:
        raise EcholiaError("server_invalid", "expected a device log entry") from None


def entry_json(signed: SignedEntry) -> dict[str, Any]:
    """A device log entry as JSON carries it."""
    signatures = {signer: b64(signature) for signer, signature in signed.signatures.items()}
    return {"entry": b64(signed.entry), "signatures": signatures}
