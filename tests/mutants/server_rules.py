"""Rules that the server keeps: what it takes, and when it says that it has it."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_SERVICE: Final = "echolia/sync/service.py"
_INTAKE: Final = "echolia/sync/intake.py"
_PUSH: Final = ("tests/sync/test_push.py",)
_ACK: Final = ("tests/sync/test_ack_status.py",)

SERVER: Final = (
    Mutant(
        "the server skips the signature check",
        _INTAKE,
        "    if not verify(public, header.message(account, chains[-1]), header.signature):\n",
        "    if not header.signature:\n",
        _PUSH,
    ),
    Mutant(
        "the server skips the chain check",
        _INTAKE,
        "    if stored != (run.chains[known - 1] if known else header.prev):\n",
        "    if stored is not None and not stored:\n",
        _PUSH,
    ),
    Mutant(
        "the server takes what follows a gap",
        _INTAKE,
        "    if header.first > head.last + 1:\n",
        "    if header.first > head.last + 1_000_000:\n",
        _PUSH,
    ),
    Mutant(
        "the server stores a duplicate again",
        _INTAKE,
        "    if known == header.count:\n",
        "    if known < 0:\n",
        _PUSH,
    ),
    Mutant(
        "the server's times step back",
        _INTAKE,
        "    received_ms = max(now_ms, state.received_ms + 1)\n",
        "    received_ms = now_ms\n",
        _PUSH,
    ),
    Mutant(
        "the server takes runs of a revoked device",
        _SERVICE,
        "            if header.device in standing.revoked:\n",
        "            if header.device in ():\n",
        _PUSH,
    ),
    Mutant(
        "the server skips the `seen` check",
        _SERVICE,
        "            elif not await log.has(db, run.header.seen):\n",
        "            elif run.header.seen.seq < 0:\n",
        _PUSH,
    ),
    Mutant(
        "the server acknowledges before it commits",
        _SERVICE,
        "            await db.grow([store.insert(run) for run in new])\n",
        "            _ = asyncio.ensure_future(db.grow([store.insert(run) for run in new]))\n",
        ("tests/sync/test_durability.py",),
    ),
    Mutant(
        "the server takes an ack of a position that the log does not have",
        _SERVICE,
        "            if not await log.has(db, ack.verified):\n",
        "            if ack.verified.seq < 0:\n",
        _ACK,
    ),
    Mutant(
        "the server takes an ack that nobody signed",
        _SERVICE,
        "        if not verify(standing.key_of(caller.device), message, ack.signature):\n",
        "        if not message:\n",
        _ACK,
    ),
    Mutant(
        "the server lets go of history that a device has not acknowledged",
        "echolia/sync/compaction.py",
        "        if not is_parked and (ack.epoch != epoch or ack.seq < seq):\n",
        "        if not is_parked and ack.epoch < 0:\n",
        ("tests/sync/test_compaction.py",),
    ),
    Mutant(
        "the server lets go of history before the undo window has passed",
        "echolia/sync/compaction.py",
        "    if now_ms - kept.stored_ms < patience.undo_ms or is_void(kept, standing):\n",
        "    if is_void(kept, standing):\n",
        ("tests/sync/test_compaction.py",),
    ),
    Mutant(
        "an acknowledgement goes back",
        "echolia/sync/store.py",
        " WHERE excluded.epoch <> acks.epoch OR excluded.seq >= acks.seq\n",
        "\n",
        _ACK,
    ),
)
