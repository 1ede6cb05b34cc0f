"""Key boxes: whose they are and that a device of the account vouches for them (`spec/keys.md#key-boxes`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from echolia.auth.models import KeyBox, SignedKeyBox
from echolia.auth.store.accounts import KeyBoxRow
from echolia.core.device_entries import RECOVERY
from echolia.core.device_log import DeviceLog
from echolia.core.errors import EcholiaError
from echolia.core.ids import ID_BYTES, b64, unb64
from echolia.core.messages import key_box_message
from echolia.core.signing import verify

# How recovery is stored: a device's id is never empty.
_RECOVERY_ROW: Final = b""


def recipient_row(recipient: str) -> bytes:
    """How a recipient is stored; raises `invalid_request`."""
    return _RECOVERY_ROW if recipient == RECOVERY else unb64(recipient, ID_BYTES)


def verified(boxes: Iterable[KeyBox], log: DeviceLog, signer: bytes) -> Iterator[KeyBoxRow]:
    """The boxes as rows; raises `key_box_invalid` for an unknown recipient or a signature that is not
    `signer`'s.
    """
    by = log.devices.get(signer)
    for box in boxes:
        recipient = recipient_row(box.recipient)
        device = log.devices.get(recipient)
        if recipient != _RECOVERY_ROW and (device is None or device.revoked is not None):
            raise EcholiaError("key_box_invalid", "unknown recipient")
        public = device.box if device else log.recovery_box
        message = key_box_message(log.account, box.generation, public, box.box)
        # A device with a valid token is in no entry where the directory came back from a backup.
        if by is None or not verify(by.sign, message, box.signature):
            raise EcholiaError("key_box_invalid", "its signature does not verify")
        yield KeyBoxRow(recipient, box.generation, box.box, box.signature, signer)


def check_complete(boxes: Iterable[KeyBoxRow], log: DeviceLog) -> None:
    """Return if there is one box of the newest generation for every device and for recovery, and no other.

    Raises `key_box_invalid`.
    """
    wanted = {_RECOVERY_ROW, *(device.device for device in log.active())}
    found = [(box.recipient, box.generation) for box in boxes]
    if sorted(found) != sorted((recipient, log.generation) for recipient in wanted):
        raise EcholiaError("key_box_invalid", "a box for every device and for recovery, and no other")


def told(row: KeyBoxRow) -> SignedKeyBox:
    """A stored box as it is answered."""
    recipient = RECOVERY if row.recipient == _RECOVERY_ROW else b64(row.recipient)
    return SignedKeyBox(
        recipient=recipient,
        generation=row.generation,
        box=row.box,
        signature=row.signature,
        signer=row.signer,
    )
