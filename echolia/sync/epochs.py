"""A new epoch: the log of a restored database begins anew where it was, so that devices see that it did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from echolia.core.positions import LogPosition, log_after
from echolia.storage.engine import Batches, Statement
from echolia.sync import history

Dice = Callable[[int], bytes]
EPOCHS: Final = 2**53 - 1

_LINKS = """
SELECT seq, changes, device, last, chain, received_ms FROM runs WHERE seq > ? ORDER BY seq
"""
_RELINK = "UPDATE runs SET log = ? WHERE seq = ?"
_EPOCH = "UPDATE account SET epoch = ?"
# Their hashes are of the former epoch. The base's is what the new one goes on from.
_FORGET = "DELETE FROM checkpoints WHERE seq > coalesce((SELECT seq FROM base), 0)"


def begin_anew(dice: Dice) -> Callable[[Batches], Awaitable[LogPosition]]:
    """What puts a log into an epoch that nobody can guess; `dice` gives secret random bytes."""
    return lambda db: begin(db, 1 + int.from_bytes(dice(8), "big") % EPOCHS)


async def begin(db: Batches, epoch: int) -> LogPosition:
    """Put the log into this epoch, in one step, and return its head: positions stay, hashes after the base
    follow from the new start.
    """
    position = await history.start_in(db, epoch)
    (found,) = await db.batch((Statement(_LINKS, (position.seq,)),))
    statements = [Statement(_EPOCH, (epoch,)), Statement(_FORGET)]
    rows: list[tuple[int, int, bytes, int, bytes, int]] = found.rows  # type: ignore[assignment]
    for seq, changes, device, last, chain, received_ms in rows:
        position = log_after(position, changes, device, last, chain, received_ms)
        statements.append(Statement(_RELINK, (position.log, seq)))
    await db.batch(statements)
    return position
