"""Checkpoints: what still counts of a log up to a position, as a device signs it (`spec/checkpoints.md`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

from echolia.core import canonical
from echolia.core.errors import EcholiaError
from echolia.core.ids import ID_BYTES
from echolia.core.positions import LogPosition

VERSION: Final = 1
MAX_CHECKPOINT_BYTES: Final = 256 << 10
_HASH_BYTES: Final = 32
_MOST: Final = 2**53 - 1
_LATEST_MS: Final = 2**48 - 1
_KEYS: Final = {"v", "epoch", "seq", "log", "received_ms", "devices", "heads", "count", "live"}


class ChainHead(NamedTuple):
    """A device's newest change and its chain hash there."""

    counter: int
    chain: bytes


class LiveChange(NamedTuple):
    """A change that still counts; tuples sort as the root wants them."""

    device: bytes
    counter: int
    leaf: bytes


class Checkpoint(NamedTuple):
    """A device's word of the log up to `position`; `received_ms` is that of the last run there."""

    position: LogPosition
    received_ms: int
    devices_n: int
    devices_head: bytes
    heads: Mapping[bytes, ChainHead]
    count: int  # type: ignore[assignment]  # the spec's word; the tuple's method of that name is not used
    live: bytes

    def encode(self) -> bytes:
        """The bytes that are signed."""
        return canonical.encode(
            {
                "v": VERSION,
                "epoch": self.position.epoch,
                "seq": self.position.seq,
                "log": self.position.log,
                "received_ms": self.received_ms,
                "devices": {"n": self.devices_n, "head": self.devices_head},
                "heads": {device: list(head) for device, head in self.heads.items()},
                "count": self.count,
                "live": self.live,
            }
        )


def decode(raw: bytes) -> Checkpoint:
    """The checkpoint in these bytes; raises `checkpoint_invalid` or `unsupported_version`."""
    if len(raw) > MAX_CHECKPOINT_BYTES:
        raise _invalid("too long")
    try:
        fields = canonical.decode(raw)
    except ValueError:
        raise _invalid("not deterministic CBOR") from None
    if not isinstance(fields, dict) or type(fields.get("v")) is not int:
        raise _invalid("not a map with a version")
    if fields["v"] != VERSION:
        raise EcholiaError("unsupported_version", "checkpoint version must be 1")
    if fields.keys() != _KEYS or not isinstance(fields["heads"], dict) or not fields["heads"]:
        raise _invalid("keys are missing or additional")
    devices = fields["devices"]
    if not isinstance(devices, dict) or devices.keys() != {"n", "head"}:
        raise _invalid("devices")
    position = LogPosition(
        _number(fields["epoch"], 1, _MOST),
        _number(fields["seq"], 1, _MOST),
        _sized(fields["log"], _HASH_BYTES),
    )
    return Checkpoint(
        position,
        _number(fields["received_ms"], 0, _LATEST_MS),
        _number(devices["n"], 1, 2**32 - 1),
        _sized(devices["head"], _HASH_BYTES),
        {_sized(device, ID_BYTES): _head(head) for device, head in fields["heads"].items()},
        _number(fields["count"], 0, position.seq),
        _sized(fields["live"], _HASH_BYTES),
    )


def checkpoint_message(account: bytes, device: bytes, checkpoint: bytes) -> bytes:
    """What the author, `device`, signs."""
    return b"echolia/1/checkpoint" + account + device + checkpoint


def in_past(
    device: bytes, counter: int, context: Mapping[bytes, int], other: bytes, other_counter: int
) -> bool:
    """Whether a change (`other`, `other_counter`) is in the past of (`device`, `counter`) with `context`."""
    return other_counter < counter if other == device else other_counter <= context.get(other, 0)


class LiveRoot:
    """What commits to the changes that are live at `seq`; they are added sorted by (device, counter)."""

    def __init__(self, account: bytes, seq: int) -> None:
        self.count = 0
        self._digest = sha256(b"echolia/1/live" + account + seq.to_bytes(8, "big"))

    def add(self, change: LiveChange) -> None:
        """One more live change."""
        self.count += 1
        self._digest.update(change.device + change.counter.to_bytes(8, "big") + change.leaf)

    def digest(self) -> bytes:
        """The root of those added so far."""
        return self._digest.digest()


def live_root(account: bytes, seq: int, live: Iterable[LiveChange]) -> tuple[int, bytes]:
    """How many changes are live at `seq`, and their root; `live` is sorted by (device, counter)."""
    root = LiveRoot(account, seq)
    for change in live:
        root.add(change)
    return root.count, root.digest()


def _head(value: Any) -> ChainHead:
    if not isinstance(value, list) or len(value) != 2:
        raise _invalid("heads")
    return ChainHead(_number(value[0], 1, _MOST), _sized(value[1], _HASH_BYTES))


def _number(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise _invalid("a number is missing or out of range")
    return value


def _sized(value: Any, length: int) -> bytes:
    if type(value) is not bytes or len(value) != length:
        raise _invalid(f"expected {length} bytes")
    return value


def _invalid(why: str) -> EcholiaError:
    return EcholiaError("checkpoint_invalid", why)
