"""The device log: an account's devices and keys, provable whoever serves it (`spec/keys.md#device-log`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hmac import compare_digest
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from echolia.core import canonical
from echolia.core.device_entries import (
    BY_RECOVERY,
    RECOVERY,
    SignedEntry,
    check_signatures,
    entry_hash,
    invalid,
    is_number,
    key_commitment,
    public_keys,
    read_entry,
    sized,
)
from echolia.core.errors import EcholiaError
from echolia.core.ids import ID_BYTES, account_id, b64, device_id

MAX_GENERATION: Final = 2**32 - 1


class Cutoff(NamedTuple):
    """The last change of a revoked device that still counts."""

    last: int
    chain: bytes


class Rotation(NamedTuple):
    """Which generation began at entry `n`, the commitment to its account key, and who made it."""

    n: int
    generation: int
    commitment: bytes
    by: bytes

    def commits_to(self, account: bytes, key: bytes) -> bool:
        """Whether the generation's account key is this one (32 bytes)."""
        return compare_digest(self.commitment, key_commitment(account, self.generation, key))


@dataclass(frozen=True, slots=True)
class LoggedDevice:
    """A device of the verified log: its id (16 bytes), public keys (32 bytes each), entry number, cut-off.

    `by` added it: empty for the first one and for what the phrase added. `confirmed`: another device has said
    that it belongs here, or it never had to be.
    """

    device: bytes
    sign: bytes
    box: bytes
    added_n: int
    revoked: Cutoff | None = None
    by: bytes = BY_RECOVERY
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class DeviceLog:
    """A verified log up to its entry `length - 1`; appending gives a new one.

    `rotations` has the generations after the first, oldest first; `revoked_n` is the last revocation's entry.
    """

    account: bytes
    length: int
    head: bytes
    recovery_sign: bytes
    recovery_box: bytes
    devices: Mapping[bytes, LoggedDevice]
    rotations: tuple[Rotation, ...] = ()
    revoked_n: int = 0

    @classmethod
    def start(cls, genesis: SignedEntry) -> DeviceLog:
        """The log of a new account; raises `device_log_invalid`."""
        fields = read_entry(genesis.entry)
        if fields["type"] != "genesis" or not is_number(fields["n"], 0) or fields["prev"] != bytes(32):
            raise invalid("a log starts with its genesis")
        if type(fields["suite"]) is not int:
            raise invalid("suite is not a number")
        if fields["suite"] != 1:
            raise EcholiaError("unsupported_version", "suite must be 1")
        sized(fields["nonce"], 16)
        recovery, keys = public_keys(fields["recovery"]), public_keys(fields["device"])
        first = LoggedDevice(device_id(*keys), *keys, added_n=0)
        check_signatures(genesis, {RECOVERY: recovery[0], b64(first.device): first.sign})
        account = account_id(genesis.entry)
        return cls(account, 1, entry_hash(genesis.entry), *recovery, MappingProxyType({first.device: first}))

    @classmethod
    def replay(cls, entries: Iterable[SignedEntry], account: bytes | None = None) -> DeviceLog:
        """The log of these entries (of `account`, if that is given); raises `device_log_invalid`."""
        stream = iter(entries)
        genesis = next(stream, None)
        if genesis is None:
            raise invalid("a log is never empty")
        log = cls.start(genesis)
        if account not in (None, log.account):
            raise invalid("the genesis is another account's")
        for entry in stream:
            log = log.extend(entry)
        return log

    @property
    def generation(self) -> int:
        """The newest generation of the account key."""
        return self.rotations[-1].generation if self.rotations else 1

    @property
    def rotation_due(self) -> bool:
        """Whether somebody who was revoked knows the newest account key."""
        return self.revoked_n > (self.rotations[-1].n if self.rotations else 0)

    def active(self) -> list[LoggedDevice]:
        """The devices that are not revoked, oldest first."""
        return [device for device in self.devices.values() if device.revoked is None]

    def extend(self, signed: SignedEntry) -> DeviceLog:
        """The log with the next entry of it that was served; raises `device_log_invalid` for any other."""
        try:
            return self.append(signed)
        except EcholiaError as error:
            if error.code != "device_log_conflict":
                raise
        raise invalid("n does not continue the log")

    def append(self, signed: SignedEntry) -> DeviceLog:
        """The log with one more entry; raises `device_log_invalid`, `device_log_conflict` (older head)."""
        fields = read_entry(signed.entry)
        if fields["type"] == "genesis" or type(fields["n"]) is not int:
            raise invalid("a genesis stands only at 0")
        if 0 < fields["n"] < self.length:
            raise EcholiaError("device_log_conflict", f"the log has {self.length} entries")
        if fields["n"] != self.length or fields["prev"] != self.head:
            raise invalid("n or prev does not continue the log")
        grown = replace(self, length=self.length + 1, head=entry_hash(signed.entry))
        if fields["type"] == "rotate":
            return self._rotated(grown, signed, fields)
        changes = {"add": self._added, "confirm": self._confirmed, "revoke": self._revoked}
        device = changes[fields["type"]](signed, fields)
        return replace(
            grown,
            devices=MappingProxyType({**self.devices, device.device: device}),
            revoked_n=self.length if device.revoked else self.revoked_n,
        )

    def _added(self, signed: SignedEntry, fields: dict[str, Any]) -> LoggedDevice:
        keys, (by, signer) = public_keys(fields["device"]), self._signer(fields["by"], recovery=True)
        device = device_id(*keys)
        if device in self.devices:
            raise invalid("the device was added before")
        check_signatures(signed, {**signer, b64(device): keys[0]})
        return LoggedDevice(device, *keys, added_n=self.length, by=by, confirmed=by == BY_RECOVERY)

    def _confirmed(self, signed: SignedEntry, fields: dict[str, Any]) -> LoggedDevice:
        device, (by, signer) = self._member(fields["device"]), self._signer(fields["by"])
        if device.confirmed or by == device.device:
            raise invalid("the device is confirmed already, or confirms itself")
        check_signatures(signed, signer)
        return replace(device, confirmed=True)

    def _revoked(self, signed: SignedEntry, fields: dict[str, Any]) -> LoggedDevice:
        device, (_, signer) = self._member(fields["device"]), self._signer(fields["by"], recovery=True)
        if type(fields["last"]) is not int or not 0 <= fields["last"] < 2**53:
            raise invalid("last is not a counter")
        check_signatures(signed, signer)
        return replace(device, revoked=Cutoff(fields["last"], sized(fields["chain"], 32)))

    def _rotated(self, grown: DeviceLog, signed: SignedEntry, fields: dict[str, Any]) -> DeviceLog:
        (by, signers), recovery = self._signer(fields["by"]), public_keys(fields["recovery"])
        if not is_number(fields["generation"], self.generation + 1) or self.generation >= MAX_GENERATION:
            raise invalid("not the next generation")
        if recovery != (self.recovery_sign, self.recovery_box):
            signers = {**signers, RECOVERY: recovery[0]}
        check_signatures(signed, signers)
        rotation = Rotation(self.length, fields["generation"], sized(fields["key"], 32), by)
        sign, box = recovery
        rotations = (*self.rotations, rotation)
        return replace(grown, rotations=rotations, recovery_sign=sign, recovery_box=box)

    def _member(self, value: object) -> LoggedDevice:
        device = self.devices.get(sized(value, ID_BYTES))
        if device is None or device.revoked is not None:
            raise invalid("the device is unknown or revoked already")
        return device

    def _signer(self, by: object, *, recovery: bool = False) -> tuple[bytes, dict[str, bytes]]:
        if recovery and by == BY_RECOVERY and isinstance(by, bytes):
            return by, {RECOVERY: self.recovery_sign}
        device = self.devices.get(sized(by, ID_BYTES))
        if device is None or device.revoked is not None:
            raise invalid("the signer is unknown or revoked")
        return device.device, {b64(device.device): device.sign}


def entry_bytes(kind: str, log: DeviceLog | None, fields: Mapping[str, Any]) -> bytes:
    """The bytes of an entry that continues `log` (None: a genesis), to be signed."""
    place = {"n": 0, "prev": bytes(32)} if log is None else {"n": log.length, "prev": log.head}
    return canonical.encode({"v": 1, "type": kind, **place, **fields})
