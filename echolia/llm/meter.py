"""Tokens of embeddings in the tables of asks: reserved before, settled once, against a quota of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from echolia.core.errors import EcholiaError
from echolia.llm import store
from echolia.llm.providers.port import Usage
from echolia.storage.engine import Batches
from echolia.web.context import Dice, ModelQuota, Refusal

# Beyond the longest time that an embedding may take: what nobody settled by then was lost.
LEASE_MS: Final = 120_000
_QUOTA_RETRY_S: Final = 3600


@dataclass(frozen=True, slots=True)
class EmbeddingMeter:
    """Implements `web.context.Meter`; `clock_ms` is the host's time."""

    directory: Batches
    clock_ms: Callable[[], int]
    dice: Dice

    async def reserve(self, account: bytes, model: str, tokens: int, quota: ModelQuota) -> bytes:
        """See `Meter.reserve`."""
        now_ms = self.clock_ms()
        lease = store.Lease(
            self.dice(16), account, model, store.EMBEDDINGS, now_ms + LEASE_MS, tokens, 0, 0, 0
        )
        if await store.reserve(self.directory, lease, quota, now_ms):
            return lease.id
        used = await store.used(self.directory, account, now_ms, store.EMBEDDINGS)
        if quota.concurrent and used.running >= quota.concurrent:
            raise Refusal("rate_limited", "too much is embedded at a time", retry_after_s=1)
        raise Refusal("quota_exceeded", members={"quota": _told(quota, used)}, retry_after_s=_QUOTA_RETRY_S)

    async def settle(  # see there
        self, account: bytes, lease: bytes, model: str, tokens: int, status: str, quota: ModelQuota
    ) -> dict[str, Any] | None:
        """See `Meter.settle`."""
        charge = store.Charge(model, status, store.EMBEDDINGS, Usage(tokens, 0), 0)
        try:
            return _told(quota, await store.settle(self.directory, lease, account, charge, self.clock_ms()))
        except EcholiaError as error:
            # The sweep ends the lease, and nothing is charged.
            structlog.get_logger().warning("embedding_unsettled", code=error.code)
            return None

    async def told(self, account: bytes, quota: ModelQuota) -> dict[str, Any]:
        """See `Meter.told`."""
        return _told(quota, await store.used(self.directory, account, self.clock_ms(), store.EMBEDDINGS))


def _told(quota: ModelQuota, used: store.Used) -> dict[str, Any]:
    return {
        "tier": quota.tier,
        "tokens_per_day": {"used": used.tokens, "limit": quota.tokens_per_day or None},
        "concurrent": {"used": used.running, "limit": quota.concurrent or None},
    }
