"""Membership: taking a device out of the account, and the account off the server."""

from __future__ import annotations

from typing import Final

from echolia.client import ledger
from echolia.client.device_entries import entry_json, fetch_device_log
from echolia.client.replica import Replica
from echolia.client.session import Refused, Session
from echolia.core.device_entries import SignedEntry
from echolia.core.device_log import DeviceLog, entry_bytes
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.core.messages import delete_account_message, device_log_message
from echolia.core.runs import chain_start

_ROUNDS: Final = 4


async def revoke(replica: Replica, session: Session, device: str) -> None:
    """See `Device.revoke`; the cut-off is the last change of the device that this one verified."""
    id_ = _device_id(device)
    for _ in range(_ROUNDS):
        log = await fetch_device_log(replica, session)
        found = log.devices.get(id_)
        if found is None:
            raise EcholiaError("device_unknown")
        if found.revoked is not None:
            return  # before, or by a try whose answer was lost
        signed = await replica.run(_entry, replica, log, id_)
        try:
            await session.ask("DELETE", f"/auth/device/{b64(id_)}", entry_json(signed))
        except Refused as refused:
            if refused.code == "device_revoked" and id_ == replica.identity.device:
                return  # that was this device itself
            if refused.code != "device_log_conflict":
                raise
        if id_ == replica.identity.device:
            return
    raise EcholiaError("device_log_conflict")


async def confirm(replica: Replica, session: Session, device: str) -> None:
    """See `Device.confirm`."""
    id_, own = _device_id(device), replica.identity
    for _ in range(_ROUNDS):
        log = await fetch_device_log(replica, session)
        found = log.devices.get(id_)
        if found is None or found.revoked is not None:
            raise EcholiaError("device_unknown")
        if found.confirmed:
            return
        entry = entry_bytes("confirm", log, {"device": id_, "by": own.device})
        signed = SignedEntry(entry, {b64(own.device): own.keys.sign(device_log_message(entry))})
        try:
            await session.ask("POST", f"/auth/device/{b64(id_)}/confirm", entry_json(signed))
        except Refused as refused:
            if refused.code != "device_log_conflict":
                raise
    raise EcholiaError("device_log_conflict")


async def delete_account(replica: Replica, session: Session) -> None:
    """See `Device.delete_account`."""
    account = replica.identity.account
    challenge = await session.fresh_challenge()
    signature = replica.identity.keys.sign(delete_account_message(account, challenge))
    body = {"confirm": b64(account), "challenge": b64(challenge), "signature": b64(signature)}
    try:
        await session.ask("DELETE", "/auth/account", body)
    except Refused as refused:
        if refused.code != "account_unknown":
            raise  # unknown: gone already, by a try whose answer was lost


def _entry(replica: Replica, log: DeviceLog, device: bytes) -> SignedEntry:
    head = ledger.heads(replica.database).get(device)
    last, chain = head or (0, chain_start(log.account, device))
    by = replica.identity.device
    entry = entry_bytes("revoke", log, {"device": device, "last": last, "chain": chain, "by": by})
    return SignedEntry(entry, {b64(by): replica.identity.keys.sign(device_log_message(entry))})


def _device_id(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise EcholiaError("device_unknown") from None
