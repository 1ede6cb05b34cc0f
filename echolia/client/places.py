"""Places: where in the verified log each object's first and newest change stand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from echolia.client.database import Database
from echolia.client.verifier import VerifiedRun
from echolia.core.positions import LogPosition

# What was here in a former epoch stays known as older than anything in this one.
_NOTE: Final = """
INSERT INTO places VALUES (?, ?, ?, ?) ON CONFLICT (object) DO UPDATE SET
    first = CASE WHEN epoch = excluded.epoch THEN first ELSE 0 END,
    epoch = excluded.epoch, newest = excluded.newest
"""


def note(database: Database, run: VerifiedRun, changes: Iterable[tuple[int, bytes]]) -> None:
    """Remember where these changes of a run (counter, object) stand."""
    for counter, object_ in changes:
        seq = run.after.seq - (run.header.last - counter)
        database.run(_NOTE, object_, run.after.epoch, seq, seq)


def hold(database: Database, at: LogPosition) -> None:
    """This device holds the whole log, which ends here."""
    mark = f"{at.epoch}.{at.seq}"
    if database.get("held_until") != mark:
        database.put("held_until", mark)


def held_until(database: Database) -> int | None:
    """Up to where this device held the log when it last held all of it; None if it never did.

    In an epoch that it has not held yet that is 0: what it held in a former one comes before.
    """
    mark: str | None = database.get("held_until")
    if mark is None:
        return None
    epoch, seq = map(int, mark.split("."))
    return seq if epoch == database.get("epoch") else 0


def first_of(database: Database, object_: bytes) -> int:
    """Where an object's first change stands; 0 for what only this device knows of."""
    return database.value("SELECT first FROM places WHERE object = ?", object_) or 0
