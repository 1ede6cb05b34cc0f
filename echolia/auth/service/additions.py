"""How an account gets one device more, whichever way the entry came (`spec/auth.md#devices`)."""

from __future__ import annotations

from echolia.core.device_entries import SignedEntry
from echolia.core.device_log import DeviceLog
from echolia.core.errors import EcholiaError


def check_room(devices: int, most: int) -> None:
    """Return if an account may have so many devices; raises `too_many_devices`."""
    if devices > most:
        raise EcholiaError("too_many_devices", f"at most {most}")


def with_addition(log: DeviceLog, signed: SignedEntry, most: int) -> DeviceLog:
    """The log with an `add` entry more; `most` is how many devices an account may have.

    Raises: `device_log_invalid`, `device_log_conflict`, `too_many_devices`.
    """
    grown = log.append(signed)
    if len(grown.devices) == len(log.devices):
        raise EcholiaError("device_log_invalid", "the entry does not add a device")
    check_room(len(grown.active()), most)
    return grown
