"""The log's tables: every statement that reads or writes an account's runs and acknowledgements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from echolia.core import runs
from echolia.core.parts import find_parts, leaf_of
from echolia.core.positions import LogPosition
from echolia.storage.engine import Batches, Statement
from echolia.sync.models import Ack

# A page looks at no more runs than this, so that one of tiny runs costs no more than one of large ones.
MAX_PAGE_RUNS: Final = 2000
_VECTOR_RUNS: Final = 256

_INSERT = """
INSERT INTO runs (seq, changes, device, last, chain, received_ms, log, total_bytes, frame)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_POSITION = "SELECT seq + changes - 1, log FROM runs WHERE seq <= ? ORDER BY seq DESC LIMIT 1"
_CONTAINING = (
    "SELECT last, chain, frame, partial FROM runs WHERE device = ? AND last >= ? ORDER BY last LIMIT 1"
)
# The page's last run is found by the running total of bytes, before any frame is read. It lies after the
# base, so its runs are whole and stand without gaps.
_PAGE = f"""
WITH start(seq, before) AS (
    SELECT seq, total_bytes - length(frame) FROM runs WHERE seq <= ?1 + 1 ORDER BY seq DESC LIMIT 1
), fits(last) AS (
    SELECT max(seq) FROM (
        SELECT seq, total_bytes FROM runs WHERE seq >= (SELECT seq FROM start)
        ORDER BY seq LIMIT {MAX_PAGE_RUNS}
    ) WHERE total_bytes <= (SELECT before FROM start) + ?2 OR seq = (SELECT seq FROM start)
)
SELECT seq, received_ms, device, chain,
    CASE WHEN device = ?3 THEN substr(frame, 1, {runs.RUN_HEADER_BYTES}) ELSE frame END
FROM runs WHERE seq BETWEEN (SELECT seq FROM start) AND (SELECT last FROM fits) ORDER BY seq
"""  # noqa: S608 — only this module's own numbers
_NEWER = (
    f"SELECT seq, length(frame) FROM runs WHERE device = ? AND last > ? ORDER BY last LIMIT {_VECTOR_RUNS}"  # noqa: S608
)
_BY_SEQ = "SELECT seq, received_ms, device, chain, frame, partial FROM runs WHERE seq = ?"
_ACK = """
INSERT INTO acks (device, epoch, seq, body, signature, acked_ms) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (device) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, body = excluded.body,
    signature = excluded.signature, acked_ms = excluded.acked_ms
    WHERE excluded.epoch <> acks.epoch OR excluded.seq >= acks.seq
"""
_ACKS = "SELECT device, epoch, seq, body, signature FROM acks ORDER BY device"
_RUNS = "SELECT count(*) FROM runs"
_FIRST_MS = "SELECT received_ms FROM runs ORDER BY seq LIMIT 1"
_FILE = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
_SUMS = "SELECT device, count(*), total(length(frame)), sum(partial) FROM runs GROUP BY device"


class DeviceHead(NamedTuple):
    """Counter of a device's newest stored change, and its chain hash there."""

    last: int
    chain: bytes


class LogState(NamedTuple):
    """All that a push must know of the log; the owner of the database keeps it in memory."""

    account: bytes
    position: LogPosition
    received_ms: int
    total_bytes: int
    heads: Mapping[bytes, DeviceHead]


class Counts(NamedTuple):
    """How many runs are stored, when the first arrived (None: there is none), and the database's size."""

    runs: int
    first_ms: int | None
    file_bytes: int


class Sum(NamedTuple):
    """A device's runs: how many, how many bytes, and of how many only a part is left."""

    runs: int
    frame_bytes: int
    partial: int


class StoredRun(NamedTuple):
    """A run as it is stored.

    `frame` is cut to its header where the reader asked for that; with `partial`, it holds leaves in place of
    some changes.
    """

    seq: int
    received_ms: int
    device: bytes
    chain: bytes
    frame: bytes
    partial: int = 0

    @property
    def header(self) -> runs.RunHeader:
        """The run's header."""
        return runs.read_header(self.frame)

    @property
    def end(self) -> int:
        """Log position of its last change."""
        return self.seq + self.header.count - 1


class NewRun(NamedTuple):
    """A run about to be stored, with where it stands in the log."""

    header: runs.RunHeader
    chain: bytes
    received_ms: int
    position: LogPosition
    total_bytes: int
    frame: bytes | memoryview

    @property
    def seq(self) -> int:
        """Log position of its first change."""
        return self.position.seq - self.header.count + 1


def insert(run: NewRun) -> Statement:
    """Stores a run. Its position is the table's key: if another owner has taken it, nothing is written."""
    head, params = (
        run.header,
        (run.chain, run.received_ms, run.position.log, run.total_bytes, bytes(run.frame)),
    )
    return Statement(_INSERT, (run.seq, head.count, head.device, head.last, *params))


async def log_at(db: Batches, seq: int) -> bytes | None:
    """The log's hash after position `seq`, which lies after the base, or None if no run ends there."""
    (found,) = await db.batch((Statement(_POSITION, (seq,)),))
    end, log = _typed(found.rows[0]) if found.rows else (0, b"")
    return log if end == seq else None


async def chain_at(db: Batches, device: bytes, counter: int) -> bytes | None:
    """A device's chain hash after the change `counter`, or None if that is not stored."""
    (found,) = await db.batch((Statement(_CONTAINING, (device, counter)),))
    if not found.rows:
        return None
    last, chain, frame, partial = _typed(found.rows[0])
    if last == counter:
        return bytes(chain)
    header = runs.read_header(frame)
    if counter < header.first:
        return header.prev if counter == header.first - 1 else None
    parts = find_parts(frame, header, partial)[: counter - header.first + 1]
    return runs.fold(header.prev, [leaf_of(frame, part) for part in parts])


async def page(db: Batches, after: int, max_bytes: int, own: bytes) -> list[StoredRun]:
    """The runs after a position within a budget of bytes; of device `own` (b"": none) the headers only."""
    (found,) = await db.batch((Statement(_PAGE, (after, max_bytes, own)),))
    return [StoredRun(*_typed(row)) for row in found.rows]


async def lacking(
    db: Batches, heads: Mapping[bytes, DeviceHead], vector: Mapping[bytes, int], max_bytes: int
) -> tuple[list[StoredRun], bool]:
    """The first runs in log order that a version vector lacks, and whether there are more."""
    behind = [
        (device, vector.get(device, 0)) for device in heads if vector.get(device, 0) < heads[device].last
    ]
    if not behind:
        return [], False
    listed = [result.rows for result in await db.batch([Statement(_NEWER, pair) for pair in behind])]
    # Beyond the end of a list that was cut, another of that device's runs might come first.
    full = [_typed(rows[-1])[0] for rows in listed if len(rows) == _VECTOR_RUNS]
    merged = sorted(_typed(row) for rows in listed for row in rows)
    reachable = [row for row in merged if not full or row[0] <= min(full)]
    chosen: list[int] = []
    size = 0
    for seq, length in reachable:
        if chosen and size + length > max_bytes:
            break
        chosen.append(seq)
        size += length
    found = await db.batch([Statement(_BY_SEQ, (seq,)) for seq in chosen])
    # A compaction may have let go of one in the meantime.
    kept = [StoredRun(*_typed(result.rows[0])) for result in found if result.rows]
    return kept, len(chosen) < len(merged) or bool(full)


async def put_ack(db: Batches, device: bytes, ack: Ack, now_ms: int) -> None:
    """Keeps a device's acknowledgement unless a later one of the same epoch is there."""
    body = ack.verified.log + ack.devices_n.to_bytes(4, "big") + ack.devices_head
    kept = (device, ack.verified.epoch, ack.verified.seq, body, ack.signature, now_ms)
    await db.batch((Statement(_ACK, kept),))


async def acks(db: Batches) -> list[tuple[bytes, Ack]]:
    """Each device's newest acknowledgement."""
    (found,) = await db.batch((Statement(_ACKS),))
    return [
        (
            device,
            Ack(LogPosition(epoch, seq, body[:32]), int.from_bytes(body[32:36], "big"), body[36:], signature),
        )
        for device, epoch, seq, body, signature in map(_typed, found.rows)
    ]


async def counts(db: Batches) -> Counts:
    """Numbers for the account's ledger; they cost an index scan at most."""
    found, first, size = await db.batch((Statement(_RUNS), Statement(_FIRST_MS), Statement(_FILE)), tx=False)
    first_ms = _typed(first.rows[0])[0] if first.rows else None
    return Counts(_typed(found.rows[0])[0], first_ms, _typed(size.rows[0])[0])


async def sums(db: Batches) -> dict[bytes, Sum]:
    """What each device's runs add up to; looks at every run, and into none."""
    (found,) = await db.batch((Statement(_SUMS),), tx=False)
    return {device: Sum(count, int(size), part) for device, count, size, part in map(_typed, found.rows)}


def _typed(row: tuple[Any, ...]) -> tuple[Any, ...]:
    # The tables are STRICT: what a column holds is what the migration says.
    return row
