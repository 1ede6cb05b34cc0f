"""Brakes: how much of what is here other devices may take at once, and the mass changes that were stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import cbor2

from echolia.client import places
from echolia.client.database import Database
from echolia.client.formers import split_ids
from echolia.client.reports import Brake, Loss
from echolia.core.errors import EcholiaError

Decision: TypeAlias = Literal["accept", "rewind"]
Stage: TypeAlias = Literal["waiting", "accepted", "rewinding", "applied"]

_DAY_MS: Final = 86_400_000
# How long what objects showed before is kept: of an accepted mass change, and of everything else.
KEPT_MS: Final = 30 * _DAY_MS
KEPT_OTHERWISE_MS: Final = _DAY_MS

_DELETIONS: Final = """
SELECT count(DISTINCT object) FROM former JOIN objects ON objects.id = former.object
WHERE brake IS NULL AND at_ms >= ? AND deleted AND NOT alive
"""
_OVERWRITES: Final = "SELECT count(DISTINCT object) FROM former WHERE brake IS NULL AND at_ms >= ? AND lost"
# What was alive here before: what still is, unless it is newer, and what was deleted since.
# What programs derive counts on neither side: else it would hide how much of the person's own is taken.
_HELD: Final = """
SELECT count(*) FROM objects LEFT JOIN places ON places.object = objects.id
WHERE collection <> 'vectors' AND coalesce(places.first, 0) <= ? AND (alive OR EXISTS (
    SELECT 1 FROM former WHERE former.object = objects.id AND brake IS NULL AND at_ms >= ? AND deleted))
"""
_SINCE: Final = "SELECT n, object, devices, deleted, lost FROM former WHERE brake IS NULL AND at_ms >= ?"
_COLUMNS: Final = "n, at_ms, since_ms, epoch, seq, device_log, stage, preview"


@dataclass(frozen=True, slots=True)
class BrakeLimits:
    """What other devices may take of what is alive here, in one sync and the `window_s` seconds before.

    A mass change is stopped where it deletes more than `deletions_share` of it and at least `deletions`
    objects, or overwrites more than `overwrites_share` and at least `overwrites`. A share of 1 never stops.
    """

    deletions_share: float = 0.25
    deletions: int = 20
    overwrites_share: float = 0.5
    overwrites: int = 50
    window_s: int = 3600

    def deletes_too_much(self, losses: Losses) -> bool:
        """Whether the deletions alone are a mass change."""
        return losses.deletions >= self.deletions and losses.deletions > self.deletions_share * losses.held

    def overwrites_too_much(self, losses: Losses) -> bool:
        """Whether the overwrites alone are one."""
        return (
            losses.overwrites >= self.overwrites and losses.overwrites > self.overwrites_share * losses.held
        )

    def exceeded(self, losses: Losses) -> bool:
        """Whether it is a mass change."""
        return self.deletes_too_much(losses) or self.overwrites_too_much(losses)


class Losses(NamedTuple):
    """How many objects were deleted and overwritten by others, of how many that were alive here before."""

    deletions: int
    overwrites: int
    held: int


class Stopped(NamedTuple):
    """A mass change as it lies in the database: what it is about, up to which position, and how it stands.

    `device_log` is how many entries that had when it was counted: a revocation may leave some of it out.
    What was applied from `since_ms` on belongs to it. It is `waiting` for a decision, `accepted` and not all
    applied, `rewinding`, or `applied`: accepted, and it can still be rewound. `epoch` is 0 once it is all
    applied. `culprits` are the devices that did it; empty: whoever did.
    """

    n: int
    at_ms: int
    since_ms: int
    epoch: int
    seq: int
    device_log: int
    stage: Stage
    preview: Brake
    culprits: frozenset[bytes]


def losses(database: Database, limits: BrakeLimits, since_ms: int) -> Losses:
    """What others took since then; what is alive is counted only where there is enough to compare."""
    deletions = database.value(_DELETIONS, since_ms)
    overwrites = database.value(_OVERWRITES, since_ms)
    if deletions < limits.deletions and overwrites < limits.overwrites:
        return Losses(deletions, overwrites, 0)
    held = database.value(_HELD, places.held_until(database) or 0, since_ms)
    return Losses(deletions, overwrites, held)


def by_device(database: Database, since_ms: int) -> dict[bytes, tuple[int, int]]:
    """For each device the objects that it took part in deleting and in overwriting since then."""
    taken: dict[bytes, tuple[set[bytes], set[bytes]]] = {}
    for _, object_, devices, deleted, lost in database.each(_SINCE, since_ms):
        for device in split_ids(devices):
            gone, changed = taken.setdefault(device, (set(), set()))
            if deleted:
                gone.add(object_)
            if lost:
                changed.add(object_)
    return {device: (len(gone), len(changed)) for device, (gone, changed) in sorted(taken.items())}


def current(database: Database) -> Stopped | None:
    """The mass change that waits, or whose decision is not carried out yet."""
    sql = f"SELECT {_COLUMNS} FROM brakes WHERE stage <> 'applied' ORDER BY n LIMIT 1"  # noqa: S608  # a constant
    row = database.row(sql)
    return _read(row) if row else None


def waiting(database: Database) -> Brake | None:
    """See `Device.brake`."""
    found = current(database)
    return found.preview if found is not None and found.stage == "waiting" else None


def stop(database: Database, found: Stopped) -> bool:
    """Keep a mass change in place of the one that waits; whether it is a new one."""
    before = database.row("SELECT n, at_ms FROM brakes WHERE stage = 'waiting'")
    n, at_ms = before or (None, found.at_ms)
    database.run(
        f"INSERT OR REPLACE INTO brakes ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        n, at_ms, found.since_ms, found.epoch, found.seq, found.device_log, found.stage, _preview(found),
    )  # fmt: skip
    return before is None


def decide(database: Database, decision: Decision) -> None:
    """What becomes of the mass change that waits, if one does; the next sync carries it out."""
    stage = {"accept": "accepted", "rewind": "rewinding"}[decision]
    database.run("UPDATE brakes SET stage = ? WHERE stage = 'waiting'", stage)


def applied(database: Database, stopped: Stopped) -> None:
    """It is all applied: what it did stays together from now on and is not counted again."""
    if stopped.epoch:
        _claim(database, stopped)
    stage = "applied" if stopped.stage == "accepted" else stopped.stage
    database.run("UPDATE brakes SET stage = ?, epoch = 0 WHERE n = ?", stage, stopped.n)


def _claim(database: Database, stopped: Stopped) -> None:
    for n, _, devices, _, _ in database.rows(_SINCE, stopped.since_ms):
        if not stopped.culprits or split_ids(devices) & stopped.culprits:
            database.run("UPDATE former SET brake = ? WHERE n = ?", stopped.n, n)


def rewind_last(database: Database) -> int | None:
    """The mass change that was accepted last, to be rewound now; None if nothing of any is kept."""
    n: int | None = database.value("SELECT max(n) FROM brakes WHERE stage = 'applied'")
    if n is not None:
        database.run("UPDATE brakes SET stage = 'rewinding' WHERE n = ?", n)
    return n


def rewind_since(database: Database, now_ms: int, since_ms: int) -> int:
    """All that others changed since then, as a mass change to be rewound now."""
    stopped = Stopped(
        0, now_ms, since_ms, 0, 0, 0, "rewinding", Brake(now_ms, 0, 0, 0, True, {}), frozenset()
    )  # fmt: skip
    n = database.run(
        "INSERT INTO brakes (at_ms, since_ms, epoch, seq, device_log, stage, preview)"
        " VALUES (?, ?, 0, 0, 0, ?, ?)",
        now_ms, since_ms, stopped.stage, _preview(stopped),
    )  # fmt: skip
    _claim(database, stopped._replace(n=n))
    return n


def let_pass(database: Database) -> None:
    """What waited is applied, for it came to less: nothing is to be decided."""
    database.run("DELETE FROM brakes WHERE stage = 'waiting'")


def end(database: Database, n: int) -> None:
    """Nothing is left of a mass change: it was rewound, or came to nothing."""
    database.run("DELETE FROM former WHERE brake = ?", n)
    database.run("DELETE FROM brakes WHERE n = ?", n)


def prune(database: Database, now_ms: int) -> None:
    """Forget what was kept long enough; a time that is far ahead was a wrong clock's."""
    for n, at_ms in database.rows("SELECT n, at_ms FROM brakes WHERE stage = 'applied'"):
        if abs(now_ms - at_ms) > KEPT_MS:
            end(database, n)
    database.run(
        "DELETE FROM former WHERE brake IS NULL AND at_ms NOT BETWEEN ? AND ?",
        now_ms - KEPT_OTHERWISE_MS, now_ms + KEPT_OTHERWISE_MS,
    )  # fmt: skip


def _preview(stopped: Stopped) -> bytes:
    found = stopped.preview
    examples = [[one.object, one.title, one.deleted] for one in found.examples]
    counts = [found.held, found.deletions, found.overwrites, found.complete]
    devices = {device: list(taken) for device, taken in found.devices.items()}
    return cbor2.dumps([counts, devices, examples, sorted(stopped.culprits)])


def _read(row: tuple[Any, ...]) -> Stopped:
    *numbers, stage, raw = row
    n, at_ms, since_ms, epoch, seq, device_log = numbers
    try:
        counts, devices, examples, culprits = cbor2.loads(raw)
        taken = {str(device): (gone, changed) for device, (gone, changed) in devices.items()}
        held, deletions, overwrites, complete = counts
        lost = tuple(Loss(*example) for example in examples)
        preview = Brake(at_ms, held, deletions, overwrites, complete, taken, lost)
    except Exception:  # noqa: BLE001  # whatever a parser meets in damaged bytes has one answer
        raise EcholiaError("home_damaged", "a mass change cannot be read") from None
    return Stopped(n, at_ms, since_ms, epoch, seq, device_log, stage, preview, frozenset(culprits))
