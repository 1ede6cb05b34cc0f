"""Making checkpoints of what this device has verified (`spec/checkpoints.md#checkpoint`)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from echolia.client import ledger, live_changes, rebasing
from echolia.client.replica import Replica
from echolia.client.session import Refused, Session
from echolia.core.checkpoints import ChainHead, Checkpoint, checkpoint_message, live_root
from echolia.core.ids import b64

_DAY_MS: Final = 86_400_000
_MANY: Final = 1000  # as many changes since the last one are worth another


class _Made(NamedTuple):
    """A checkpoint as it is sent, and what is remembered once it was taken."""

    body: dict[str, Any]
    seq: int
    received_ms: int


async def offer(replica: Replica, session: Session, *, new_device: bool = False) -> None:
    """Give the server a checkpoint of all that is verified here, if one is worth while.

    `new_device`: one is about to start, and is spared all history.
    """
    made = await replica.run(_made, replica, new_device)
    if made is None:
        return
    try:
        await session.ask("POST", "/sync/checkpoint", made.body)
    except Refused as refused:
        # Others went on meanwhile: the next sync makes another.
        if refused.code not in {"device_log_conflict", "must_rebase"}:
            raise
        return
    await replica.run(remember, replica, made.seq, made.received_ms)


def remember(replica: Replica, seq: int, received_ms: int) -> None:
    """The server has a checkpoint of this position."""
    replica.database.put("checkpoint_seq", seq)
    replica.database.put("checkpoint_ms", received_ms)


def _made(replica: Replica, new_device: bool) -> _Made | None:
    database, identity = replica.database, replica.identity
    at, received_ms = ledger.position(database, identity.account), ledger.last_received_ms(database)
    newest, newest_ms = database.get("checkpoint_seq") or 0, database.get("checkpoint_ms") or 0
    grown = at.seq - newest
    few = replica.environment.checkpoint_changes
    worth = grown >= few and (new_device or grown >= _MANY or 2 * grown >= newest)
    if not worth or rebasing.due(database) or (received_ms - newest_ms < _DAY_MS and not new_device):
        return None
    log = ledger.device_log(database)
    heads = {device: ChainHead(*head) for device, head in ledger.heads(database).items()}
    count, root = live_root(identity.account, at.seq, live_changes.live(database))
    point = Checkpoint(at, received_ms, log.length, log.head, heads, count, root).encode()
    signature = identity.keys.sign(checkpoint_message(identity.account, identity.device, point))
    return _Made({"checkpoint": b64(point), "signature": b64(signature)}, at.seq, received_ms)
