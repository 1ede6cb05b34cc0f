"""Counts in a Redis, which learns that somebody asked: not who, from where, nor for what."""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from typing import Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from echolia.web.shared_counts import WINDOW_S, Window

CONNECTIONS: Final = 16

# One round trip. It leaves no key without an end whenever Redis stops, and gives one to a key that has none.
_COUNT: Final = """
local count = redis.call('INCR', KEYS[1])
local left_ms = redis.call('PTTL', KEYS[1])
if left_ms < 0 then
  left_ms = tonumber(ARGV[1])
  redis.call('PEXPIRE', KEYS[1], left_ms)
end
return {count, left_ms}
"""


class RedisCounts:
    """A `SharedCounts`. The library `limits` has one too: three round trips for a refusal, and no time limit
    of its own. A request waits `answer_s` for it, and does as well without.
    """

    def __init__(self, url: str, answer_s: float) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=answer_s,
            socket_timeout=answer_s,
            socket_connect_timeout=answer_s,
            retry=Retry(NoBackoff(), 0),
        )
        self._client = Redis.from_pool(pool)
        self._answer_s = answer_s

    async def count(self, name: str, who: str) -> Window | None:
        """See `SharedCounts.count`; `who` is a secret pseudonym, so that the key tells nobody the name."""
        key = blake2b(name.encode(), key=who.encode(), digest_size=16).hexdigest()
        try:
            async with asyncio.timeout(self._answer_s):
                found = await self._client.eval(_COUNT, 1, f"echolia:{key}", str(WINDOW_S * 1000))
            count, left_ms = map(int, found)
        except Exception:  # noqa: BLE001  # whatever it answers: no request fails because of it
            return None
        return Window(count, min(left_ms / 1000, WINDOW_S))

    async def close(self) -> None:
        """See `SharedCounts.close`."""
        await self._client.aclose()
