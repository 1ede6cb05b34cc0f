"""The devices of an account: who they are, the log that proves it, and how one is revoked
(`spec/auth.md#devices`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from echolia.auth.models import Device, Devices, LogEntry, SignedKeyBoxes
from echolia.auth.service import key_boxes
from echolia.auth.service.devices import AccountDevices
from echolia.auth.store import accounts as store
from echolia.core.device_log import DeviceLog, LoggedDevice, SignedEntry, entry_hash
from echolia.core.errors import EcholiaError
from echolia.storage.engine import Database
from echolia.web.context import Caller

PAGE_ENTRIES: Final = 500


@dataclass(frozen=True, slots=True)
class Membership:
    """The devices of accounts."""

    db: Database
    devices: AccountDevices
    clock_ms: Callable[[], int]

    async def list(self, caller: Caller, after: int) -> Devices:
        """The devices and the log's entries from `after` on."""
        log = await self.devices.log(caller.account)
        entries = await store.entries(self.db, caller.account, after, PAGE_ENTRIES)
        # An entry appended since is left for the next call: `n` and `head` must fit what is told.
        told = entries[: max(0, log.length - after)]
        return Devices(
            devices=[_told(device) for device in log.devices.values()],
            log=[LogEntry(entry=one.entry, signatures=dict(one.signatures)) for one in told],
            n=log.length,
            head=log.head,
            more=after + len(told) < log.length and bool(told),
        )

    async def revoke(self, caller: Caller, device: bytes, asked: LogEntry) -> None:
        """Append the `revoke` entry and end the device's tokens at once; the same entry again changes
        nothing.

        Raises: `device_unknown`, `device_log_invalid`, `device_log_conflict`, `device_last`.
        """
        signed = SignedEntry(asked.entry, asked.signatures)
        log = await self.devices.log(caller.account)
        if device not in log.devices:
            raise EcholiaError("device_unknown")
        if entry_hash(signed.entry) != log.head:
            await self._append(log, device, signed)
        elif log.devices[device].revoked is None:
            raise EcholiaError("device_log_invalid", "the entry does not revoke this device")

    async def _append(self, log: DeviceLog, device: bytes, signed: SignedEntry) -> None:
        was_revoked = log.devices[device].revoked is not None
        grown = log.append(signed)
        if was_revoked or grown.devices[device].revoked is None:
            raise EcholiaError("device_log_invalid", "the entry does not revoke this device")
        if not grown.active():
            raise EcholiaError("device_last")
        changes = store.revoke_device(log.account, device, self.clock_ms())
        results = await self.db.batch(store.append(log, signed, changes))
        if not results[-1].changed:
            self.devices.forget(log.account)
            raise EcholiaError("device_log_conflict")
        self.devices.grown(grown)
        self.devices.revoked(log.account, device)

    async def key_boxes(self, caller: Caller, recipient: str | None) -> SignedKeyBoxes:
        """The account's key boxes, those of one recipient or all."""
        wanted = None if recipient is None else key_boxes.recipient_row(recipient)
        found = await store.key_boxes(self.db, caller.account, wanted)
        return SignedKeyBoxes(boxes=[key_boxes.told(row) for row in found])


def _told(device: LoggedDevice) -> Device:
    return Device(
        device=device.device,
        sign=device.sign,
        box=device.box,
        added_n=device.added_n,
        revoked=device.revoked is not None,
    )
