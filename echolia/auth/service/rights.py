"""What a new device may not do yet (`spec/keys.md#a-new-devices-rights`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from echolia.auth.store import accounts as store
from echolia.core.device_entries import SignedEntry, read_entry
from echolia.core.device_log import DeviceLog
from echolia.core.errors import EcholiaError
from echolia.storage.engine import Database
from echolia.web.context import Caller


@dataclass(frozen=True, slots=True)
class Rights:
    """For `new_ms` after its addition a device that nobody confirmed may change nothing about the others."""

    db: Database
    new_ms: int
    clock_ms: Callable[[], int]

    async def check(self, log: DeviceLog, caller: Caller) -> None:
        """Return if the caller may change who belongs to the account; raises `device_new`."""
        until_ms = (await self.new_until(log)).get(caller.device, 0)
        if self.clock_ms() < until_ms:
            raise EcholiaError("device_new")

    async def check_entry(self, log: DeviceLog, caller: Caller, signed: SignedEntry) -> None:
        """The same of an entry that the caller made itself: what others signed, it may bring back."""
        fields = read_entry(signed.entry)
        leaves = fields["type"] == "revoke" and fields["device"] == caller.device
        if fields.get("by") == caller.device and not leaves:
            await self.check(log, caller)

    async def new_until(self, log: DeviceLog) -> dict[bytes, int]:
        """The devices that are new and not confirmed, with when that ends in ms since 1970."""
        if all(device.confirmed for device in log.devices.values()) or not self.new_ms:
            return {}
        added, now_ms = await store.added(self.db, log.account), self.clock_ms()
        return {
            device.device: until_ms
            for device in log.active()
            if not device.confirmed and (until_ms := added.get(device.device, 0) + self.new_ms) > now_ms
        }
