"""Checkpoints and what is live, a second time from the specification; nothing here imports `echolia`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.vectors import reference as ref
from tests.vectors.cases.served_log import Log
from tests.vectors.reference import Change, Identity, Seen, h, u
from tests.vectors.world import ACCOUNT, seed

DEVICE_LOG: Mapping[str, Any] = {"n": 3, "head": seed("head of the device log")}


class Placed(NamedTuple):
    """A change and where it stands: in the log, and in its device's history."""

    seq: int
    device: bytes
    counter: int
    change: Change


def placed(log: Log) -> list[Placed]:
    """Every change of a log, in order."""
    return [
        Placed(each.seq + n, each.run.name, each.run.first + n, change)
        for each in log.stored
        for n, change in enumerate(each.run.changes)
    ]


def _in_past(x: Placed, t: Placed) -> bool:
    if x.device == t.device:
        return x.counter < t.counter
    return any(device == x.device and x.counter <= counter for device, counter in t.change.context)


def _supersedes(t: Placed, x: Placed) -> bool:
    same = t.change.object == x.change.object
    return t.change.kind == 1 and same and t.seq > x.seq and _in_past(x, t)


def live(log: Log, upto: int, cutoffs: Mapping[bytes, int] | None = None) -> list[Placed]:
    """What is live at a position, sorted by device and counter."""
    counting = [
        each
        for each in placed(log)
        if each.seq <= upto and each.counter <= (cutoffs or {}).get(each.device, each.counter)
    ]
    found = [x for x in counting if not any(_supersedes(t, x) for t in counting)]
    return sorted(found, key=lambda each: (each.device, each.counter))


def root(log: Log, upto: int, cutoffs: Mapping[bytes, int] | None = None) -> bytes:
    """The live root at a position."""
    parts = [each.device + u(64, each.counter) + each.change.leaf for each in live(log, upto, cutoffs)]
    return h(b"echolia/1/live", ACCOUNT, u(64, upto), *parts)


def log_base(epoch: int, seq: int, log: bytes) -> bytes:
    """Where the log of another epoch goes on from a checkpoint."""
    return h(b"echolia/1/log-base", ACCOUNT, u(64, epoch), u(64, seq), log)


@dataclass(frozen=True)
class Point:
    """A checkpoint of a whole log by a device; `wrong` replaces fields, `signer` may be another."""

    log: Log
    author: Identity
    cutoffs: Mapping[bytes, int] = field(default_factory=dict)
    wrong: Mapping[str, Any] = field(default_factory=dict)
    signer: Identity | None = None

    @property
    def position(self) -> Seen:
        """What it speaks of."""
        return self.log.head

    @property
    def fields(self) -> dict[str, Any]:
        """What it says."""
        epoch, seq, log = self.position
        heads = {each.run.name: [each.run.last, each.run.chains[-1]] for each in self.log.stored}
        return {
            "v": 1,
            "epoch": epoch,
            "seq": seq,
            "log": log,
            "received_ms": self.log.stored[-1].received_ms,
            "devices": dict(DEVICE_LOG),
            "heads": heads,
            "count": len(live(self.log, seq, self.cutoffs)),
            "live": root(self.log, seq, self.cutoffs),
            **self.wrong,
        }

    @property
    def raw(self) -> bytes:
        """The bytes that are signed."""
        return ref.cbor(self.fields)

    @property
    def signature(self) -> bytes:
        """The author's signature."""
        signer = self.signer or self.author
        return ref.sign(signer.sign_seed, b"echolia/1/checkpoint" + ACCOUNT + self.author.id + self.raw)


def base_items(log: Log, upto: int, wanted: Mapping[int, Sequence[bool]]) -> list[bytes]:
    """Runs up to a position, newest first: those in `wanted` (by first position) with leaves in place of
    what is not, none where nothing is.
    """
    items = []
    for each in reversed([each for each in log.stored if each.seq <= upto]):
        kept = wanted.get(each.seq, (True,) * len(each.run.changes))
        if all(kept):
            items.append(each.item())
        elif any(kept):
            items.append(each.item(2, ref.partial(each.run, kept)))
    return items
