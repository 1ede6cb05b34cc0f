"""How far back a log reaches: every statement about checkpoints, the base, and the runs that are let go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from echolia.core import checkpoints
from echolia.core.checkpoints import Checkpoint
from echolia.core.ids import ID_BYTES
from echolia.core.positions import LogPosition, log_base, log_start
from echolia.storage.engine import Batches, Result, Statement
from echolia.sync.store import MAX_PAGE_RUNS, DeviceHead, LogState, StoredRun

MAX_CHECKPOINTS: Final = 32

_ACCOUNT = "SELECT account, epoch FROM account"
_BASE = """
SELECT body, compacted_to, total_bytes, dropped_bytes FROM base JOIN checkpoints USING (seq)
"""
_HEAD = "SELECT seq + changes - 1, log, received_ms, total_bytes FROM runs ORDER BY seq DESC LIMIT 1"
# One index seek a device: what a GROUP BY would do by reading the whole index.
_HEADS = """
WITH RECURSIVE known(device) AS (
    SELECT (SELECT min(device) FROM runs)
    UNION ALL
    SELECT (SELECT min(device) FROM runs WHERE device > known.device) FROM known
    WHERE known.device IS NOT NULL
)
SELECT runs.device, runs.last, runs.chain FROM known JOIN runs ON runs.device = known.device
    AND runs.last = (SELECT max(last) FROM runs WHERE device = known.device)
"""
_CHECKPOINTS = "SELECT device, body, signature, revoked, stored_ms FROM checkpoints ORDER BY seq DESC"
_STORED_MS = "SELECT seq, stored_ms FROM checkpoints WHERE seq > coalesce((SELECT seq FROM base), 0)"
_ACKED = "SELECT device, epoch, seq, acked_ms FROM acks"
_PUT = """
INSERT INTO checkpoints (seq, device, body, signature, revoked, stored_ms) VALUES (?, ?, ?, ?, ?, ?)
"""
_FORGET = "DELETE FROM checkpoints WHERE seq = ?"
_MOVE_BASE = """
INSERT INTO base (one, seq, compacted_to, total_bytes, dropped_bytes)
SELECT 1, ?1, 0, total_bytes, 0 FROM runs WHERE seq <= ?1 ORDER BY seq DESC LIMIT 1
ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, compacted_to = 0, total_bytes = excluded.total_bytes
"""
_DROP = "DELETE FROM runs WHERE seq = ?"
_SHORTEN = "UPDATE runs SET frame = ?, partial = 1 WHERE seq = ?"
_COMPACTED = "UPDATE base SET compacted_to = ?, dropped_bytes = dropped_bytes + ?"
_FORGET_EARLIER = "DELETE FROM checkpoints WHERE seq < ?"
_RECEIVED_AT = "SELECT received_ms FROM runs WHERE seq <= ? ORDER BY seq DESC LIMIT 1"
_COLUMNS = "seq, received_ms, device, chain, frame, partial"
_EARLIEST = "SELECT min(seq) FROM runs"
_IS_CHECKPOINT = "SELECT 1 FROM checkpoints WHERE seq = ?"


def _budgeted(place: str, order: str, where: str) -> str:
    """Runs by `place`, as many as fit a budget of bytes (?1), at least one; no other frame is read."""
    nearest, beyond = ("min", "<=") if order == "ASC" else ("max", ">=")
    furthest = "max" if order == "ASC" else "min"
    return f"""
WITH sized(place, size) AS (
    SELECT place, sum(bytes) OVER (ORDER BY place {order}) FROM (
        SELECT {place} AS place, length(frame) AS bytes FROM runs WHERE {where}
        ORDER BY {place} {order} LIMIT {MAX_PAGE_RUNS}
    )
)
SELECT {_COLUMNS} FROM runs WHERE {where} AND {place} {beyond} (
    SELECT coalesce({furthest}(CASE WHEN size <= ?1 THEN place END), {nearest}(place)) FROM sized
) ORDER BY {place} {order}
"""  # noqa: S608 — only this module's own words


_NEWEST_FIRST = _budgeted("seq", "DESC", "seq < ?2 AND seq > ?3")
_OLDEST_FIRST = _budgeted("seq", "ASC", "seq > ?2 AND seq <= ?3")
_OF_DEVICE = _budgeted("last", "ASC", "device = ?2 AND last > ?3 AND seq <= ?4")


class LogBase(NamedTuple):
    """Where the log begins that the server still answers for: position 0, or that of a checkpoint.

    `heads` are the devices' newest changes there; runs that end at or before `compacted_to` are done;
    `total_bytes` is that of all frames up to there, `dropped_bytes` of those that are gone.
    """

    position: LogPosition
    received_ms: int
    heads: Mapping[bytes, DeviceHead]
    compacted_to: int
    total_bytes: int
    dropped_bytes: int

    @property
    def unfinished(self) -> bool:
        """Whether something before it is still to be let go of."""
        return self.compacted_to < self.position.seq


class StoredCheckpoint(NamedTuple):
    """A checkpoint as it was signed and taken; `revoked` are the devices that were revoked by then."""

    device: bytes
    body: bytes
    signature: bytes
    revoked: frozenset[bytes]
    stored_ms: int

    @property
    def checkpoint(self) -> Checkpoint:
        """What it says."""
        return checkpoints.decode(self.body)


class Acked(NamedTuple):
    """How far a device has acknowledged, in which epoch, and when (server time)."""

    epoch: int
    seq: int
    acked_ms: int


def base_at(account: bytes, epoch: int, point: Checkpoint) -> LogBase:
    """The log's base in `epoch` if it is compacted to `point`; nothing of it is done yet."""
    heads = {device: DeviceHead(*head) for device, head in point.heads.items()}
    position = point.position if point.position.epoch == epoch else log_base(account, epoch, point.position)
    return LogBase(position, point.received_ms, heads, 0, 0, 0)


async def load(db: Batches) -> tuple[LogState, LogBase]:
    """The log's state and base from the tables; a few index seeks whatever its length."""
    sought = (_ACCOUNT, _BASE, _HEAD, _HEADS)
    account, found, head, heads = await db.batch([Statement(sql) for sql in sought])
    owner, epoch = _typed(account.rows[0])
    base = LogBase(log_start(owner, epoch), 0, {}, 0, 0, 0)
    for body, *numbers in map(_typed, found.rows):
        base = LogBase(*base_at(owner, epoch, checkpoints.decode(body))[:3], *numbers)
    known = dict(base.heads)
    # A device's newest run may be gone, or it may lie before what the base says of it.
    for device, last, chain in map(_typed, heads.rows):
        if device not in known or last > known[device].last:
            known[device] = DeviceHead(last, chain)
    seq, log, received_ms, total_bytes = _typed(head.rows[0]) if head.rows else (0, b"", 0, 0)
    if seq <= base.position.seq:
        return LogState(owner, base.position, base.received_ms, base.total_bytes, known), base
    return LogState(owner, LogPosition(epoch, seq, log), received_ms, total_bytes, known), base


async def start_in(db: Batches, epoch: int) -> LogPosition:
    """Where the log would begin in another epoch: at position 0, or at the base."""
    account, found = await db.batch((Statement(_ACCOUNT), Statement(_BASE)))
    owner, _ = _typed(account.rows[0])
    if not found.rows:
        return log_start(owner, epoch)
    return base_at(owner, epoch, checkpoints.decode(_typed(found.rows[0])[0])).position


async def kept_checkpoints(db: Batches) -> list[StoredCheckpoint]:
    """The account's checkpoints, newest first."""
    (found,) = await db.batch((Statement(_CHECKPOINTS),))
    return [
        StoredCheckpoint(device, body, signature, _ids(revoked), stored_ms)
        for device, body, signature, revoked, stored_ms in map(_typed, found.rows)
    ]


async def stored_ms(db: Batches) -> dict[int, int]:
    """When each checkpoint after the base was kept, by its position."""
    (found,) = await db.batch((Statement(_STORED_MS),))
    return dict(map(_typed, found.rows))


async def acknowledged(db: Batches) -> dict[bytes, Acked]:
    """How far each device has acknowledged."""
    (found,) = await db.batch((Statement(_ACKED),))
    return {device: Acked(*acked) for device, *acked in map(_typed, found.rows)}


async def put_checkpoint(db: Batches, seq: int, kept: StoredCheckpoint, gone: Sequence[int]) -> None:
    """Keeps a checkpoint of position `seq`, and forgets those of the positions `gone`."""
    revoked = b"".join(sorted(kept.revoked))
    columns = (seq, kept.device, kept.body, kept.signature, revoked, kept.stored_ms)
    await db.batch([*(Statement(_FORGET, (each,)) for each in gone), Statement(_PUT, columns)])


async def forget_checkpoint(db: Batches, seq: int) -> None:
    """Forgets the checkpoint of a position that is not the base."""
    await db.batch((Statement(_FORGET, (seq,)),))


async def received_ms_at(db: Batches, seq: int) -> int:
    """When the run was received that ends at `seq`, which lies after the base."""
    (found,) = await db.batch((Statement(_RECEIVED_AT, (seq,)),))
    return int(_typed(found.rows[0])[0])


async def move_base(db: Batches, seq: int) -> None:
    """The log is to be compacted to the checkpoint at `seq`; earlier checkpoints are forgotten."""
    await db.batch((Statement(_MOVE_BASE, (seq,)), Statement(_FORGET_EARLIER, (seq,))))


async def let_go(
    db: Batches, gone: Sequence[int], shortened: Mapping[int, bytes], compacted_to: int, dropped_bytes: int
) -> None:
    """Forgets the runs at these positions, puts shorter contents in place of others, and notes how far it
    came, all or nothing.
    """
    await db.batch(
        [
            *(Statement(_DROP, (seq,)) for seq in gone),
            *(Statement(_SHORTEN, (content, seq)) for seq, content in shortened.items()),
            Statement(_COMPACTED, (compacted_to, dropped_bytes)),
        ]
    )


async def newest_first(db: Batches, before: int, max_bytes: int, after: int = 0) -> list[StoredRun]:
    """The runs that begin before a position and after another, newest first, within a budget of bytes."""
    return _runs((await db.batch((Statement(_NEWEST_FIRST, (max_bytes, before, after)),)))[0])


async def base_page(
    db: Batches, seq: int, before: int | None, max_bytes: int
) -> tuple[list[StoredRun], bool] | None:
    """Runs up to the checkpoint at `seq`, newest first, and whether there are earlier ones.

    None if there is no such checkpoint.
    """
    below = seq + 1 if before is None else min(before, seq + 1)
    page = Statement(_NEWEST_FIRST, (max_bytes, below, 0))
    there, found, earliest = await db.batch((Statement(_IS_CHECKPOINT, (seq,)), page, Statement(_EARLIEST)))
    if not there.rows:
        return None
    runs = _runs(found)
    return runs, bool(runs) and runs[-1].seq > _typed(earliest.rows[0])[0]


async def oldest_first(db: Batches, after: int, upto: int, max_bytes: int) -> list[StoredRun]:
    """The runs that begin after a position and up to another, oldest first, within a budget of bytes."""
    return _runs((await db.batch((Statement(_OLDEST_FIRST, (max_bytes, after, upto)),)))[0])


async def of_device(db: Batches, device: bytes, after: int, upto: int, max_bytes: int) -> list[StoredRun]:
    """A device's runs that end after a counter and begin up to a position, in order, within a budget."""
    return _runs((await db.batch((Statement(_OF_DEVICE, (max_bytes, device, after, upto)),)))[0])


def _runs(found: Result) -> list[StoredRun]:
    return [StoredRun(*_typed(row)) for row in found.rows]


def _ids(joined: bytes) -> frozenset[bytes]:
    return frozenset(joined[at : at + ID_BYTES] for at in range(0, len(joined), ID_BYTES))


def _typed(row: tuple[Any, ...]) -> tuple[Any, ...]:
    # The tables are STRICT: what a column holds is what the migration says.
    return row
