"""History: what objects showed before, and values that lost to a write which had not seen them; for 30 days.

Edits that one device makes within some minutes are one version, or each batch of typing would keep a copy
of the text. Counts are no versions, and an object that is being created has none.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final, NamedTuple

import cbor2

from echolia.client import ledger
from echolia.client.database import Database
from echolia.client.presentation import Presentation
from echolia.core.dots import holds
from echolia.core.errors import EcholiaError
from echolia.core.merge import ObjectState, losers
from echolia.core.merge.fields import parts_of

KEPT_MS: Final = 30 * 86_400_000
TOGETHER_MS: Final = 5 * 60_000
PRUNED_AT_ONCE: Final = 1000
_PRUNED_BESIDES: Final = 16


class Occasion(NamedTuple):
    """Who changes what is shown (b"": nobody alone), and when by this device's clock.

    `apart`: what was shown is kept as a version whatever came just before.
    """

    device: bytes
    now_ms: int
    apart: bool = False


class Session(NamedTuple):
    """Whose edits led to what is shown, and when they began."""

    device: bytes = b""
    begun_ms: int = 0


def keep(
    database: Database, id_: bytes, session: Session, before: Presentation, after: ObjectState,
    shown: Presentation, occasion: Occasion,
) -> Session:  # fmt: skip
    """Keep what an object showed `before`, if it is a version; gives the session that `shown` is of.

    Call it before the object's row is written.
    """
    differing = changed(before, shown)
    counted = {name for name in differing if _only(after, name, "counter")}
    if differing == counted:
        return session
    device, now_ms, apart = occasion
    # Values that compete are kept before one of them is chosen, whoever chose it and however soon.
    apart = apart or any(name in before.conflicts for name in differing)
    going_on = session.device == device and 0 <= now_ms - session.begun_ms < TOGETHER_MS
    if going_on and not apart:
        return session
    # Texts that two devices write at the same time merge: nothing of them is overwritten by the other.
    typed = all(_only(after, name, "text") for name in differing - counted)
    if apart or not typed or not _kept_since(database, id_, now_ms - TOGETHER_MS):
        database.run(
            "INSERT INTO versions SELECT NULL, id, updated_ms, ?, ?, ?, ?, NULL, NULL"
            " FROM objects WHERE id = ?",
            session.device, now_ms, device, packed(before), id_,
        )  # fmt: skip
        prune(database, now_ms, _PRUNED_BESIDES)
    return Session(device, now_ms)


def keep_losers(
    database: Database, id_: bytes, held: ObjectState | None, arriving: ObjectState,
    seen: Mapping[bytes, int], received_ms: int, now_ms: int,
) -> None:  # fmt: skip
    """Keep what loses when `arriving`, next in the log at `received_ms`, is joined to what is confirmed."""
    if held is None or received_ms < now_ms - KEPT_MS:
        return
    for name, lost, winner in losers(held, arriving, seen):
        key = lost.key
        at_ms = ledger.received_ms(database, key.device, key.counter)
        if at_ms is None and not holds(held.dots, key.device, key.counter):
            at_ms = received_ms  # it is what arrives
        database.run(
            "INSERT OR IGNORE INTO versions VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
            id_, at_ms, key.device, now_ms, winner.key.device,
            packed(Presentation({name: lost.value}, {})), name, key.counter,
        )  # fmt: skip


def prune(database: Database, now_ms: int, most: int) -> None:
    """Let go of what was kept for its time, `most` at once."""
    # Where the clock was ahead, nobody knows for how long it was kept: its time begins anew.
    database.run("UPDATE versions SET kept_ms = ?1 WHERE kept_ms > ?1", now_ms)
    database.run(
        "DELETE FROM versions WHERE n IN (SELECT n FROM versions WHERE kept_ms < ? ORDER BY kept_ms LIMIT ?)",
        now_ms - KEPT_MS, most,
    )  # fmt: skip


def forget(database: Database, id_: bytes) -> None:
    """An object is gone, and with it what it showed."""
    database.run("DELETE FROM versions WHERE object = ?", id_)


def packed(presentation: Presentation) -> bytes:
    """The form in which versions are kept."""
    return zlib.compress(presentation.encode())


def unpacked(raw: bytes) -> Presentation:
    """What `packed` wrote; raises `home_damaged`."""
    try:
        return Presentation.decode(zlib.decompress(raw))
    except zlib.error:
        raise EcholiaError("home_damaged", "a version cannot be read") from None


def changed(before: Presentation, shown: Presentation) -> set[str]:
    """The fields that show something else."""
    names = {*before.fields, *shown.fields}
    return {name for name in names if _spelled(before, name) != _spelled(shown, name)}


def _spelled(presentation: Presentation, name: str) -> bytes:
    """Bytes, since 1, 1.0 and true are three values."""
    shows = name in presentation.fields
    return cbor2.dumps([shows, presentation.fields.get(name), presentation.conflicts.get(name)])


def _only(state: ObjectState, name: str, policy: str) -> bool:
    parts = parts_of(state.fields.get(name))
    return bool(parts) and all(part.tag == policy for part in parts)


def _kept_since(database: Database, id_: bytes, since_ms: int) -> bool:
    found = database.value(
        "SELECT 1 FROM versions WHERE object = ? AND kept_ms > ? AND field IS NULL LIMIT 1", id_, since_ms
    )
    return found is not None
