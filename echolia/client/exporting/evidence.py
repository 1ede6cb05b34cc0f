"""Evidence: an account's runs as a server served them, verified by one who knows its device log alone."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from echolia.client.starting import signed_checkpoint
from echolia.client.verifier import Head, Known, follow, verify_base_item, verify_item
from echolia.core import canonical
from echolia.core.checkpoints import Checkpoint
from echolia.core.device_log import DeviceLog, SignedEntry
from echolia.core.errors import EcholiaError
from echolia.core.export_records import expect_map, invalid
from echolia.core.positions import NOTHING_SEEN, LogPosition, log_base
from echolia.core.push import Item

_KEYS: Final = {"epoch", "base", "checkpoints"}
_POINT_KEYS: Final = {"device", "checkpoint", "signature"}


@dataclass(frozen=True, slots=True)
class Served:
    """What a server says before it serves its log: the epoch, its base, and the checkpoints as they are."""

    epoch: int
    base: int
    checkpoints: tuple[Mapping[str, bytes], ...]

    def encode(self) -> bytes:
        """The content of its record."""
        points = [dict(point) for point in self.checkpoints]
        return canonical.encode({"epoch": self.epoch, "base": self.base, "checkpoints": points})

    @classmethod
    def decode(cls, content: bytes) -> Served:
        """What a record says; raises `export_invalid`."""
        fields = expect_map(content, _KEYS)
        numbers, points = (fields["epoch"], fields["base"]), fields["checkpoints"]
        if any(type(number) is not int or not 0 <= number < 2**53 for number in numbers) or not numbers[0]:
            raise invalid("an epoch or a base is out of range")
        if not isinstance(points, list) or not all(map(_is_point, points)):
            raise invalid("a checkpoint has another form")
        return cls(*numbers, tuple(points))


class Evidence:
    """Takes runs one by one; raises what a device would (`chain_broken`, …) for the first that does not hold.

    Memory grows by 40 bytes a run.
    """

    def __init__(self, log: DeviceLog, entries: list[SignedEntry], served: Served) -> None:
        points = [
            signed_checkpoint(log, entries, point["device"], point["checkpoint"], point["signature"])
            for point in served.checkpoints
        ]
        self._ends, self._hashes = array("Q"), bytearray()
        known = Known(log.account, NOTHING_SEEN, 0, {}, log.devices, self.log_at)
        self._known = known.in_epoch(served.epoch)
        self._known = replace(self._known, log_at=self.log_at)
        self._point = _base(points, served.base)
        self.before = served.base + 1  # where what a base starts from was read down to
        if self._point is None:
            self._note(self._known.position)

    @property
    def position(self) -> LogPosition:
        """How far the log is verified: not at all while what its base starts from is read."""
        return self._known.position

    @property
    def at_base(self) -> bool:
        """Whether what follows is still what a checkpoint starts from."""
        return self._point is not None

    def run(self, item: Item) -> None:
        """The next run, in the order in which it was served."""
        if self._point is not None and item.seq <= self._point.position.seq:
            verify_base_item(self._known, item, self._point, self.before)
            self.before = item.seq
            return
        self.end_base()
        run = verify_item(self._known, item)
        self._known = follow(self._known, run)
        self._note(run.after)

    def end_base(self) -> None:
        """What the base starts from is all there: the log goes on from its checkpoint."""
        point, self._point = self._point, None
        if point is None:
            return
        position, epoch = point.position, self._known.position.epoch
        if position.epoch != epoch:
            position = log_base(self._known.account, epoch, position)
        heads = {device: Head(*head) for device, head in point.heads.items()}
        self._known = replace(
            self._known, position=position, received_ms=point.received_ms, heads=heads, base_seq=position.seq
        )
        self._note(position)

    def log_at(self, seq: int) -> bytes | None:
        """The log's hash after position `seq`, if a run ended there."""
        at = bisect_left(self._ends, seq)
        if at == len(self._ends) or self._ends[at] != seq:
            return None
        return bytes(self._hashes[32 * at : 32 * at + 32])

    def _note(self, at: LogPosition) -> None:
        self._ends.append(at.seq)
        self._hashes += at.log


def _base(points: Iterable[Checkpoint], base: int) -> Checkpoint | None:
    if not base:
        return None
    found = next((point for point in points if point.position.seq == base), None)
    if found is None:
        raise EcholiaError("server_invalid", "the base has no checkpoint")
    return found


def _is_point(point: Any) -> bool:
    if not isinstance(point, dict) or set(point) != _POINT_KEYS:
        return False
    return all(type(value) is bytes for value in point.values())
