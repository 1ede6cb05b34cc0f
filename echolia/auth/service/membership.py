"""The devices of an account: who they are, the log that proves it, and how one is revoked
(`spec/auth.md#devices`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from echolia.auth.models import AddDevice, Device, Devices, KeyBox, LogEntry, Rotation, SignedKeyBoxes
from echolia.auth.service import key_boxes
from echolia.auth.service.additions import with_addition
from echolia.auth.service.devices import AccountDevices
from echolia.auth.service.rights import Rights
from echolia.auth.store import accounts as store
from echolia.core.device_entries import SignedEntry, read_entry
from echolia.core.device_log import DeviceLog, LoggedDevice
from echolia.core.errors import EcholiaError
from echolia.storage.engine import ConstraintViolated, Database, Result
from echolia.web.context import Caller, DeviceEntitlements

PAGE_ENTRIES: Final = 500
# Who lost all devices must not be kept out by how many they were.
_FOR_RECOVERY: Final = 8


@dataclass(frozen=True, slots=True)
class Membership:
    """The devices of accounts."""

    db: Database
    devices: AccountDevices
    rights: Rights
    entitlements: DeviceEntitlements
    clock_ms: Callable[[], int]

    async def list(self, caller: Caller, after: int) -> Devices:
        """The devices and the log's entries from `after` on."""
        log = await self.devices.log(caller.account)
        entries = await store.entries(self.db, caller.account, after, PAGE_ENTRIES)
        # An entry appended since is left for the next call: `n` and `head` must fit what is told.
        told = entries[: max(0, log.length - after)]
        new = await self.rights.new_until(log)
        return Devices(
            devices=[_told(device, new.get(device.device)) for device in log.devices.values()],
            log=[LogEntry(entry=one.entry, signatures=dict(one.signatures)) for one in told],
            n=log.length,
            head=log.head,
            more=after + len(told) < log.length and bool(told),
        )

    async def add(self, caller: Caller, asked: AddDevice) -> None:
        """Append an `add` entry with key boxes of the caller's; one that is in the log changes nothing.

        Raises: `device_log_invalid`, `device_log_conflict`, `too_many_devices`, `key_box_invalid`,
        `account_exists` (the device belongs to one).
        """
        signed = SignedEntry(asked.entry, asked.signatures)
        log = await self.devices.log(caller.account)
        if not await store.has_entry(self.db, caller.account, signed.entry):
            await self.rights.check_entry(log, caller, signed)
            most = await self.entitlements.devices(caller.account)
            await self._add(log, signed, asked.key_boxes, caller.device, most)

    async def add_by(self, account: bytes, signed: SignedEntry, boxes: Sequence[KeyBox]) -> None:
        """Append an `add` entry that recovery signed, with key boxes of the new device's."""
        log = await self.devices.log(account)
        if not await store.has_entry(self.db, account, signed.entry):
            most = await self.entitlements.devices(account) + _FOR_RECOVERY
            await self._add(log, signed, boxes, None, most)
        await self.devices.grown_elsewhere(account)

    async def _add(
        self,
        log: DeviceLog,
        signed: SignedEntry,
        asked: Sequence[KeyBox],
        signer: bytes | None,
        most: int,
    ) -> None:
        grown = with_addition(log, signed, most)
        (added,) = grown.devices.keys() - log.devices.keys()
        boxes = list(key_boxes.verified(asked, grown, signer or added))
        try:
            changes = store.addition(log, grown, boxes, self.clock_ms())
            results = await self.db.batch(store.append(log, signed, changes))
        except ConstraintViolated:
            raise EcholiaError("account_exists", "the new device belongs to an account") from None
        self._grown(grown, results)

    def _grown(self, grown: DeviceLog, results: Sequence[Result]) -> None:
        """Remember the longer log if it was written; raises `device_log_conflict`."""
        if not results[-1].changed:
            self.devices.forget(grown.account)
            raise EcholiaError("device_log_conflict")
        self.devices.grown(grown)

    async def revoke(self, caller: Caller, device: bytes, asked: LogEntry) -> None:
        """Append the `revoke` entry and end the device's tokens at once; the same entry again changes
        nothing.

        Raises: `device_unknown`, `device_log_invalid`, `device_log_conflict`, `device_last`, `must_rebase`.
        """
        signed = SignedEntry(asked.entry, asked.signatures)
        log = await self.devices.log(caller.account)
        if device not in log.devices:
            raise EcholiaError("device_unknown")
        if await store.has_entry(self.db, caller.account, signed.entry):
            # By the entry itself: the log that is remembered may not have it yet.
            fields = read_entry(signed.entry)
            if (fields["type"], fields.get("device")) != ("revoke", device):
                raise EcholiaError("device_log_invalid", "the entry does not revoke this device")
            return
        await self.rights.check_entry(log, caller, signed)
        await self._append(log, device, signed)

    async def confirm(self, caller: Caller, device: bytes, asked: LogEntry) -> None:
        """Append the `confirm` entry of a device; the same entry again changes nothing.

        Raises: `device_unknown`, `device_new`, `device_log_invalid`, `device_log_conflict`.
        """
        signed = SignedEntry(asked.entry, asked.signatures)
        log = await self.devices.log(caller.account)
        if device not in log.devices:
            raise EcholiaError("device_unknown")
        if await store.has_entry(self.db, caller.account, signed.entry):
            return
        await self.rights.check_entry(log, caller, signed)
        grown = log.append(signed)
        if not grown.devices[device].confirmed or log.devices[device].confirmed:
            raise EcholiaError("device_log_invalid", "the entry does not confirm this device")
        self._grown(grown, await self.db.batch(store.append(log, signed, [])))

    async def rotate(self, caller: Caller, asked: Rotation) -> None:
        """Append a `rotate` entry and put its key boxes, both or neither; the same again changes nothing.

        Raises: `device_new`, `device_log_invalid`, `device_log_conflict`, `key_box_invalid`.
        """
        signed = SignedEntry(asked.entry, asked.signatures)
        log = await self.devices.log(caller.account)
        if await store.has_entry(self.db, caller.account, signed.entry):
            return
        await self.rights.check_entry(log, caller, signed)
        grown = log.append(signed)
        if grown.generation == log.generation:
            raise EcholiaError("device_log_invalid", "the entry does not rotate the account key")
        boxes = list(key_boxes.verified(asked.key_boxes, grown, caller.device))
        key_boxes.check_complete(boxes, grown)
        self._grown(grown, await self.db.batch(store.append(log, signed, store.rotation(grown, boxes))))

    async def _append(self, log: DeviceLog, device: bytes, signed: SignedEntry) -> None:
        grown = log.append(signed)
        cutoff = grown.devices[device].revoked
        if cutoff is None or log.devices[device].revoked is not None:
            raise EcholiaError("device_log_invalid", "the entry does not revoke this device")
        if not grown.active():
            raise EcholiaError("device_last")
        changes = store.revoke_device(log.account, device, self.clock_ms())
        async with self.devices.cutting_off(log.account, device, cutoff.last):
            self._grown(grown, await self.db.batch(store.append(log, signed, changes)))
        self.devices.revoked(log.account, device)

    async def key_boxes(self, caller: Caller, recipient: str | None) -> SignedKeyBoxes:
        """The account's key boxes, those of one recipient or all."""
        wanted = None if recipient is None else key_boxes.recipient_row(recipient)
        found = await store.key_boxes(self.db, caller.account, wanted)
        return SignedKeyBoxes(boxes=[key_boxes.told(row) for row in found])


def _told(device: LoggedDevice, new_until_ms: int | None) -> Device:
    return Device(
        device=device.device,
        sign=device.sign,
        box=device.box,
        added_n=device.added_n,
        revoked=device.revoked is not None,
        confirmed=device.confirmed,
        new_until_ms=new_until_ms,
    )
