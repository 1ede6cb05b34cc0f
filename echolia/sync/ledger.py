"""What sync has of an account, told to its devices column by column (`spec/ledger.md`)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from echolia.core import runs
from echolia.core.ids import b64
from echolia.core.parts import find_parts
from echolia.storage.engine import Batches
from echolia.storage.fencing import fence_of
from echolia.sync import history, store
from echolia.sync.history import Acked, LogBase, StoredCheckpoint
from echolia.sync.live.listeners import Listeners
from echolia.sync.models import Ack
from echolia.sync.store import Counts, LogState, StoredRun, Sum
from echolia.web.context import Fact, facts_of

# Beyond so many bytes of runs their headers are not read, beyond so many runs not summed up by device.
MOST_READ_BYTES: Final = 32 << 20
MOST_SUMMED_RUNS: Final = 50_000
_PAGE_BYTES: Final = 4 << 20

_FILE: Final = "A file is never taken for another account's."
_ORDER: Final = "Gives every device the same changes in the same order."
_PROOF: Final = "Devices prove by it that nothing was changed or left out."
_CLEAR: Final = "Stands in clear in each change, signed: devices sort and check by it."
_ACK: Final = "What one device has verified cannot be kept from another."
_POINT: Final = "A new device starts from it without all history, and nobody has to be believed."
_BASE: Final = "What was superseded for long is not kept for ever."

# Place → what it is, and why it is needed.
WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "user": ("a database file of your own, named by the account's id", "Deleting it deletes all of it."),
    "user.account.one": ("accounts in that file", _FILE),
    "user.account.account": ("the account's id", _FILE),
    "user.account.fence": (
        "how often it passed from one process of the server to another",
        "Of two processes that think it is theirs only one can write.",
    ),
    "user.account.epoch": ("the log's epoch, random", "A log that was restored is told from this one."),
    "user.runs.seq": ("positions in the log", _ORDER),
    "user.runs.changes": ("changes, and in how many runs they came", _ORDER),
    "user.runs.device": ("the devices that wrote them, with runs and bytes", _ORDER),
    "user.runs.last": ("changes of each device", _PROOF),
    "user.runs.chain": ("hash of each device's changes", _PROOF),
    "user.runs.received_ms": ("when they arrived", "Bounds what a device's clock may claim."),
    "user.runs.log": ("hash of the log", _PROOF),
    "user.runs.total_bytes": ("bytes so far", "Pages are cut without reading what is in them."),
    "user.runs.partial": ("runs of which only a part is left", _BASE),
    "user.runs.frame": ("the runs: sealed bodies, clear headers", "It is what you sync; bodies stay sealed."),
    "user.runs.frame.object": ("things that changes are about, by random ids", _CLEAR),
    "user.runs.frame.stream": ("kinds of things, by pseudonyms", "A device may ask for one kind first."),
    "user.runs.frame.class": ("changes that hold a whole thing, and that add to one", _CLEAR),
    "user.runs.frame.generation": ("generations of keys", _CLEAR),
    "user.runs.frame.context": ("what each writer had of the other devices", _CLEAR),
    "user.runs.frame.seen": ("how far each writer had verified the log", _PROOF),
    "user.runs.frame.body_length": ("the padded length of each body", _CLEAR),
    "user.runs.frame.signature": ("a signature for each run", _PROOF),
    "user.acks.device": ("devices that said how far they have verified the log", _ACK),
    "user.acks.epoch": ("in which epoch of the log", _ACK),
    "user.acks.seq": ("up to which position", _ACK),
    "user.acks.body": ("hashes they named, and how long a device log they held", _ACK),
    "user.acks.signature": ("signatures of what they said", _ACK),
    "user.acks.acked_ms": ("when they said so last", "A device that is silent for long holds nothing back."),
    "user.checkpoints.seq": ("positions of the log that a device summed up", _POINT),
    "user.checkpoints.device": ("which device did", _POINT),
    "user.checkpoints.body": ("the sums: positions, counts and hashes", _POINT),
    "user.checkpoints.signature": ("their signatures", _POINT),
    "user.checkpoints.revoked": ("how many devices were revoked by then", _POINT),
    "user.checkpoints.stored_ms": ("when they came", _POINT),
    "user.base.one": ("whether history was let go of", _BASE),
    "user.base.seq": ("up to which position", _BASE),
    "user.base.compacted_to": ("how far that has come", _BASE),
    "user.base.total_bytes": ("bytes that were there before", _BASE),
    "user.base.dropped_bytes": ("bytes that are gone", _BASE),
    "memory.listeners": ("devices that listen for news", "They are told at once when the log moves."),
    "memory.log": ("the log's head and its last positions", "A push need not read them from the disk."),
}


class Accounts(Protocol):
    """Where accounts' databases are leased from."""

    def lease(self, account: bytes) -> AbstractAsyncContextManager[Batches]:
        """The account's open database; raises `storage_missing`."""
        ...


@dataclass(slots=True)
class _Headers:
    """What the clear headers of all changes add up to."""

    objects: set[bytes] = field(default_factory=set)
    streams: set[bytes] = field(default_factory=set)
    kinds: Counter[int] = field(default_factory=Counter)
    generations: set[int] = field(default_factory=set)

    def take(self, stored: list[StoredRun]) -> None:
        for run in stored:
            for part in find_parts(run.frame, run.header, bool(run.partial)):
                if part.whole:
                    self._add(*runs.clear_part(run.frame, part.at))

    def _add(self, kind: int, generation: int, object_: bytes, stream: bytes) -> None:
        self.objects.add(object_)
        self.streams.add(stream)
        self.kinds[kind] += 1
        self.generations.add(generation)


@dataclass(frozen=True, slots=True)
class SyncLedger:
    """A `web.context.Keeper`: the account's own database, and who listens."""

    accounts: Accounts
    listeners: Listeners
    most_read_bytes: int = MOST_READ_BYTES
    most_summed_runs: int = MOST_SUMMED_RUNS

    async def facts(self, account: bytes) -> list[Fact]:
        """See `Keeper.facts`; raises `storage_missing`."""
        async with self.accounts.lease(account) as db:
            (state, base), counts, acks = await history.load(db), await store.counts(db), await store.acks(db)
            kept, acked = await history.kept_checkpoints(db), await history.acknowledged(db)
            fence = await fence_of(db)
            sums = await store.sums(db) if counts.runs <= self.most_summed_runs else None
            stored_bytes = state.total_bytes - base.dropped_bytes
            headers = await _headers(db, state) if stored_bytes <= self.most_read_bytes else None
        listening = self.listeners.of(account)
        values = {
            "user": {"bytes": counts.file_bytes},
            "user.account.one": 1,
            "user.account.account": b64(account),
            "user.account.fence": fence,
            "user.account.epoch": state.position.epoch,
            **_runs(state, counts, sums),
            **_changes(headers),
            **_acks(acks, acked),
            **_checkpoints(kept, base),
            "memory.listeners": {b64(device): count for device, count in listening.items()},
            "memory.log": {"seq": state.position.seq},
        }
        return facts_of(WORDS, values)


async def _headers(db: Batches, state: LogState) -> _Headers:
    found, after = _Headers(), 0
    while page := await history.oldest_first(db, after, state.position.seq, _PAGE_BYTES):
        await asyncio.to_thread(found.take, page)
        after = page[-1].end
    return found


def _runs(state: LogState, counts: Counts, sums: dict[bytes, Sum] | None) -> dict[str, Any]:
    heads = {b64(device): head for device, head in sorted(state.heads.items())}
    if sums is None:  # too many runs to look at each: which devices, and no more
        by_device: dict[str, Any] = dict.fromkeys(heads)
    else:
        by_device = {b64(device): {"runs": n, "bytes": size} for device, (n, size, _) in sorted(sums.items())}
    times = {"earliest_ms": counts.first_ms, "latest_ms": state.received_ms} if counts.runs else {}
    return {
        "user.runs.seq": state.position.seq,
        "user.runs.changes": {"count": state.position.seq, "runs": counts.runs},
        "user.runs.device": by_device,
        "user.runs.last": {device: head.last for device, head in heads.items()},
        "user.runs.chain": {device: b64(head.chain) for device, head in heads.items()},
        "user.runs.received_ms": times,
        "user.runs.log": b64(state.position.log),
        "user.runs.total_bytes": {"bytes": state.total_bytes},
        "user.runs.partial": None if sums is None else sum(each.partial for each in sums.values()),
        "user.runs.frame": {"count": counts.runs, "bytes": state.total_bytes},
    }


def _changes(headers: _Headers | None) -> dict[str, Any]:
    inside, counted = headers or _Headers(), headers is not None
    kinds = {"whole": inside.kinds[runs.STATE], "adding": inside.kinds[runs.DELTA]}
    counts = {
        "object": len(inside.objects),
        "stream": len(inside.streams),
        "class": kinds,
        "generation": sorted(inside.generations),
    }
    uncounted = dict.fromkeys(("context", "seen", "body_length", "signature"))
    found = {**(counts if counted else dict.fromkeys(counts)), **uncounted}
    return {f"user.runs.frame.{part}": value for part, value in found.items()}


def _checkpoints(kept: list[StoredCheckpoint], base: LogBase) -> dict[str, Any]:
    points = {str(one.checkpoint.position.seq): one for one in kept}
    return {
        "user.checkpoints.seq": list(points),
        "user.checkpoints.device": {seq: b64(one.device) for seq, one in points.items()},
        "user.checkpoints.body": {"count": len(points), "bytes": sum(len(one.body) for one in kept)},
        "user.checkpoints.signature": {"count": len(points)},
        "user.checkpoints.revoked": {seq: len(one.revoked) for seq, one in points.items()},
        "user.checkpoints.stored_ms": {seq: {"at_ms": one.stored_ms} for seq, one in points.items()},
        "user.base.one": int(bool(base.position.seq)),
        "user.base.seq": base.position.seq,
        "user.base.compacted_to": base.compacted_to,
        "user.base.total_bytes": {"bytes": base.total_bytes},
        "user.base.dropped_bytes": {"bytes": base.dropped_bytes},
    }


def _acks(acks: list[tuple[bytes, Ack]], acked: Mapping[bytes, Acked]) -> dict[str, Any]:
    named = {b64(device): ack for device, ack in acks}
    return {
        "user.acks.device": list(named),
        "user.acks.epoch": {device: ack.verified.epoch for device, ack in named.items()},
        "user.acks.seq": {device: ack.verified.seq for device, ack in named.items()},
        "user.acks.body": {device: {"entries": ack.devices_n} for device, ack in named.items()},
        "user.acks.signature": {"count": len(named)},
        "user.acks.acked_ms": {b64(device): {"at_ms": one.acked_ms} for device, one in acked.items()},
    }
