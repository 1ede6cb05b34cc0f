"""Vectors made as entries come: after each change here or from elsewhere, and later where nobody can now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from echolia.client.environment import Environment
from echolia.client.replica import Replica
from echolia.client.session import Refused
from echolia.core.errors import EcholiaError

# What nobody can just now, but perhaps later: no model or little power, no server or a busy one, no quota.
LATER: Final = frozenset(
    {
        "embeddings_wait", "embeddings_busy", "embeddings_late", "server_unreachable", "unavailable",
        "rate_limited", "quota_exceeded",
    }
)  # fmt: skip
# Who writes goes on writing: what comes within so long is embedded once.
QUIET_S: Final = 2.0
_FIRST_WAIT_S: Final = 5.0
_LONGEST_WAIT_S: Final = 300.0


async def keep_up(replica: Replica, update: Callable[[], Awaitable[object]]) -> None:
    """Call `update` now and after each change, and again where it could not; until it is cancelled.

    Raises: what `update` does but for what may go better later.
    """
    changed = asyncio.Event()
    changed.set()
    stop = replica.listen(lambda _: changed.set())
    wait_s = _FIRST_WAIT_S
    try:
        while True:
            await changed.wait()
            changed.clear()
            try:
                # What it writes is a change as well: it is called once more, and finds nothing to do.
                await update()
                wait_s = _FIRST_WAIT_S
                await replica.environment.sleep(QUIET_S)
            except EcholiaError as error:
                if error.code not in LATER:
                    raise
                await _pause(replica.environment, error, wait_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
                changed.set()
    finally:
        stop()


async def _pause(environment: Environment, error: EcholiaError, wait_s: float) -> None:
    asked_s = error.retry_after_s if isinstance(error, Refused) else 0.0
    await environment.sleep(max(asked_s, wait_s * (0.5 + environment.jitter())))
