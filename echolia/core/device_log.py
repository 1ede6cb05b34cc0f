"""The device log: an account's devices, provable whoever serves it (`spec/keys.md#device-log`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from echolia.core import canonical
from echolia.core.box_keys import can_be_sealed_to
from echolia.core.errors import EcholiaError
from echolia.core.ids import ID_BYTES, account_id, b64, device_id
from echolia.core.messages import device_log_message
from echolia.core.signing import verify

RECOVERY: Final = "recovery"
MAX_ENTRY_BYTES: Final = 1024

_KEYS: Final = {
    "genesis": {"v", "n", "prev", "type", "suite", "nonce", "recovery", "device"},
    "add": {"v", "n", "prev", "type", "device", "by"},
    "revoke": {"v", "n", "prev", "type", "device", "last", "chain", "by"},
}


class SignedEntry(NamedTuple):
    """An entry's exact bytes and who signed them: "recovery" or a device id in base64url."""

    entry: bytes
    signatures: Mapping[str, bytes]


class Cutoff(NamedTuple):
    """The last change of a revoked device that still counts."""

    last: int
    chain: bytes


@dataclass(frozen=True, slots=True)
class LoggedDevice:
    """A device of the verified log: its id (16 bytes), public keys (32 bytes each), entry number, cut-off."""

    device: bytes
    sign: bytes
    box: bytes
    added_n: int
    revoked: Cutoff | None = None


def _invalid(why: str) -> EcholiaError:
    return EcholiaError("device_log_invalid", why)


def entry_hash(entry: bytes) -> bytes:
    """What the next entry's `prev` must be."""
    return sha256(b"echolia/1/device-log" + entry).digest()


@dataclass(frozen=True, slots=True)
class DeviceLog:
    """A verified log up to its entry `length - 1`; appending gives a new one."""

    account: bytes
    length: int
    head: bytes
    recovery_sign: bytes
    recovery_box: bytes
    devices: Mapping[bytes, LoggedDevice]

    @classmethod
    def start(cls, genesis: SignedEntry) -> DeviceLog:
        """The log of a new account; raises `device_log_invalid`."""
        fields = _read(genesis.entry)
        if fields["type"] != "genesis" or not _is(fields["n"], 0) or fields["prev"] != bytes(32):
            raise _invalid("a log starts with its genesis")
        if type(fields["suite"]) is not int:
            raise _invalid("suite is not a number")
        if fields["suite"] != 1:
            raise EcholiaError("unsupported_version", "suite must be 1")
        _sized(fields["nonce"], 16)
        recovery, keys = _keys(fields["recovery"]), _keys(fields["device"])
        first = LoggedDevice(device_id(*keys), *keys, added_n=0)
        _check_signatures(genesis, {RECOVERY: recovery[0], b64(first.device): first.sign})
        account = account_id(genesis.entry)
        return cls(account, 1, entry_hash(genesis.entry), *recovery, MappingProxyType({first.device: first}))

    @classmethod
    def replay(cls, entries: Iterable[SignedEntry], account: bytes | None = None) -> DeviceLog:
        """The log of these entries (of `account`, if that is given); raises `device_log_invalid`."""
        stream = iter(entries)
        genesis = next(stream, None)
        if genesis is None:
            raise _invalid("a log is never empty")
        log = cls.start(genesis)
        if account not in (None, log.account):
            raise _invalid("the genesis is another account's")
        for entry in stream:
            log = log.extend(entry)
        return log

    def extend(self, signed: SignedEntry) -> DeviceLog:
        """The log with the next entry of it that was served; raises `device_log_invalid` for any other."""
        try:
            return self.append(signed)
        except EcholiaError as error:
            if error.code != "device_log_conflict":
                raise
        raise _invalid("n does not continue the log")

    def append(self, signed: SignedEntry) -> DeviceLog:
        """The log with one more entry; raises `device_log_invalid`, `device_log_conflict` (older head)."""
        fields = _read(signed.entry)
        if fields["type"] == "genesis" or type(fields["n"]) is not int:
            raise _invalid("a genesis stands only at 0")
        if 0 < fields["n"] < self.length:
            raise EcholiaError("device_log_conflict", f"the log has {self.length} entries")
        if fields["n"] != self.length or fields["prev"] != self.head:
            raise _invalid("n or prev does not continue the log")
        change = self._added if fields["type"] == "add" else self._revoked
        device = change(signed, fields)
        devices = MappingProxyType({**self.devices, device.device: device})
        return replace(self, length=self.length + 1, head=entry_hash(signed.entry), devices=devices)

    def active(self) -> list[LoggedDevice]:
        """The devices that are not revoked, oldest first."""
        return [device for device in self.devices.values() if device.revoked is None]

    def _added(self, signed: SignedEntry, fields: dict[str, Any]) -> LoggedDevice:
        keys, by = _keys(fields["device"]), self._signer(fields["by"])
        device = LoggedDevice(device_id(*keys), *keys, added_n=self.length)
        if device.device in self.devices:
            raise _invalid("the device was added before")
        _check_signatures(signed, {b64(by.device): by.sign, b64(device.device): device.sign})
        return device

    def _revoked(self, signed: SignedEntry, fields: dict[str, Any]) -> LoggedDevice:
        device = self.devices.get(_sized(fields["device"], ID_BYTES))
        if device is None or device.revoked is not None:
            raise _invalid("the device is unknown or revoked already")
        if type(fields["last"]) is not int or not 0 <= fields["last"] < 2**53:
            raise _invalid("last is not a counter")
        if fields["by"] == b"":
            _check_signatures(signed, {RECOVERY: self.recovery_sign})
        else:
            by = self._signer(fields["by"])
            _check_signatures(signed, {b64(by.device): by.sign})
        return replace(device, revoked=Cutoff(fields["last"], _sized(fields["chain"], 32)))

    def _signer(self, by: object) -> LoggedDevice:
        device = self.devices.get(_sized(by, ID_BYTES))
        if device is None or device.revoked is not None:
            raise _invalid("the signer is unknown or revoked")
        return device


def _read(entry: bytes) -> dict[str, Any]:
    if len(entry) > MAX_ENTRY_BYTES:
        raise _invalid("the entry is too long")
    try:
        fields = canonical.decode(entry)
    except ValueError:
        raise _invalid("not deterministic CBOR") from None
    if not isinstance(fields, dict) or type(fields.get("v")) is not int:
        raise _invalid("not a map with a version")
    if fields["v"] != 1:
        raise EcholiaError("unsupported_version", "device log version must be 1")
    kind = fields.get("type")
    if not isinstance(kind, str) or set(fields) != _KEYS.get(kind):
        raise _invalid("unknown type, or keys are missing or additional")
    return fields


def _is(value: object, number: int) -> bool:
    # True == 1 and 1.0 == 1 in Python, but not in CBOR: other implementations would disagree.
    return type(value) is int and value == number


def _sized(value: object, length: int) -> bytes:
    if not isinstance(value, bytes) or len(value) != length:
        raise _invalid(f"expected {length} bytes")
    return value


def _keys(value: object) -> tuple[bytes, bytes]:
    if not isinstance(value, dict) or set(value) != {"sign", "box"}:
        raise _invalid("expected sign and box keys")
    sign, box = _sized(value["sign"], 32), _sized(value["box"], 32)
    if not can_be_sealed_to(box):
        raise _invalid("nothing can be sealed to the box key")
    return sign, box


def _check_signatures(signed: SignedEntry, signers: Mapping[str, bytes]) -> None:
    if set(signed.signatures) != set(signers):
        raise _invalid("a signature is missing or additional")
    message = device_log_message(signed.entry)
    for name, public in signers.items():
        if not verify(public, message, signed.signatures[name]):
            raise EcholiaError("device_log_invalid", "a signature does not verify")


def entry_bytes(kind: str, log: DeviceLog | None, fields: Mapping[str, Any]) -> bytes:
    """The bytes of an entry that continues `log` (None: a genesis), to be signed."""
    place = {"n": 0, "prev": bytes(32)} if log is None else {"n": log.length, "prev": log.head}
    return canonical.encode({"v": 1, "type": kind, **place, **fields})
