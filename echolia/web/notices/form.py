"""The bytes of a notice between processes, all of one length."""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from echolia.web.notices.port import MISSED, Ended, HeadMoved, Missed, Notice

SENDER_BYTES: Final = 8
_FORM: Final = Struct(">8sB16s16sQQ")
TOLD_BYTES: Final = _FORM.size
_HEAD, _DEVICE, _ACCOUNT, _MISSED = range(4)


class Told(NamedTuple):
    """A notice, and the process that told it."""

    sender: bytes
    notice: Notice


def pack(told: Told) -> bytes:
    """Its bytes."""
    match told.notice:
        case HeadMoved(account, epoch, seq):
            fields: tuple[int, bytes, bytes, int, int] = (_HEAD, account, b"", epoch, seq)
        case Ended(account, None):
            fields = (_ACCOUNT, account, b"", 0, 0)
        case Ended(account, device):
            fields = (_DEVICE, account, device or b"", 0, 0)
        case Missed():
            fields = (_MISSED, b"", b"", 0, 0)
    return _FORM.pack(told.sender, *fields)


def unpack(packed: bytes) -> Told:
    """What was told; raises struct.error for other bytes."""
    sender, kind, account, device, epoch, seq = _FORM.unpack(packed)
    if kind == _HEAD:
        return Told(sender, HeadMoved(account, epoch, seq))
    if kind == _MISSED:
        return Told(sender, MISSED)
    return Told(sender, Ended(account, device if kind == _DEVICE else None))
