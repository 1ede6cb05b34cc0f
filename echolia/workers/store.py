"""Who runs and who owns which slot: two small tables of the directory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from echolia.storage.engine import Database, Statement

# By the first byte of an account's id, which is random.
SLOTS: Final = 256

_MAKE: Final = "INSERT INTO slots (slot, owner, fence) VALUES (?, NULL, 0) ON CONFLICT (slot) DO NOTHING"
_JOIN: Final = "INSERT INTO workers (worker, host, address, beat_ms) VALUES (?, ?, ?, ?)"
_BEAT: Final = "UPDATE workers SET beat_ms = ? WHERE worker = ?"
_BURY: Final = "DELETE FROM workers WHERE worker = ? AND beat_ms = ?"
_FREE: Final = (
    "UPDATE slots SET owner = NULL WHERE owner = ?1 AND NOT EXISTS (SELECT 1 FROM workers WHERE worker = ?1)"
)
_HAND: Final = (
    "UPDATE slots SET owner = ?1, fence = fence + 1 WHERE slot = ?2 AND fence = ?3"
    " AND (owner IS NULL OR owner = ?4) RETURNING fence"
)


class Worker(NamedTuple):
    """A server process: its id (16 random bytes), its host's, where other hosts reach it, its last beat.

    The beat is a number that grows, by no clock that two hosts share.
    """

    id: bytes
    host: bytes
    address: str = ""
    beat_ms: int = 0


class Slot(NamedTuple):
    """Accounts that are owned together: by whom (None: nobody), and the number that it got with them."""

    number: int
    owner: bytes | None
    fence: int


class Owners(NamedTuple):
    """The tables as they are at one moment."""

    workers: dict[bytes, Worker]
    slots: list[Slot]


def slot_of(account: bytes) -> int:
    """The slot of an account."""
    return account[0]


async def join(db: Database, me: Worker) -> None:
    """A process begins."""
    slots = [Statement(_MAKE, (number,)) for number in range(SLOTS)]
    await db.batch([*slots, Statement(_JOIN, (me.id, me.host, me.address, me.beat_ms))])


async def beat(db: Database, worker: bytes, now_ms: int) -> bool:
    """It lives; False where it was taken for dead and is in the table no more."""
    (result,) = await db.batch([Statement(_BEAT, (now_ms, worker))])
    return result.changed == 1


async def leave(db: Database, worker: bytes) -> None:
    """A process has ended; what it owned is nobody's."""
    await db.batch(
        [Statement("DELETE FROM workers WHERE worker = ?", (worker,)), Statement(_FREE, (worker,))]
    )


async def bury(db: Database, worker: Worker) -> bool:
    """As `leave`, for one that has not beaten since; False where it has."""
    _, _, left = await db.batch(
        [
            Statement(_BURY, (worker.id, worker.beat_ms)),
            Statement(_FREE, (worker.id,)),
            Statement("SELECT 1 FROM workers WHERE worker = ?", (worker.id,)),
        ]
    )
    return not left.rows


async def look(db: Database) -> Owners:
    """Who runs and who owns what."""
    workers, slots = await db.batch(
        [
            Statement("SELECT worker, host, address, beat_ms FROM workers"),
            Statement("SELECT slot, owner, fence FROM slots ORDER BY slot"),
        ]
    )
    found: list[Any] = workers.rows
    places: list[Any] = slots.rows
    return Owners({row[0]: Worker(*row) for row in found}, [Slot(*row) for row in places])


async def hand(db: Database, passed: Sequence[tuple[Slot, bytes]]) -> list[Slot]:
    """Pass slots from whoever has them on, those that are as they are given; how these are now."""
    asked = [Statement(_HAND, (to, slot.number, slot.fence, slot.owner)) for slot, to in passed]
    rows: list[list[Any]] = [result.rows for result in await db.batch(asked)] if asked else []
    return [
        Slot(slot.number, to, found[0][0]) for (slot, to), found in zip(passed, rows, strict=True) if found
    ]
