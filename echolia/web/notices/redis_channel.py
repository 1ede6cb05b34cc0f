"""Notices by Redis' publish and subscribe, sealed: Redis carries them and learns that something happened."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from echolia.web.notices.carrier import Away, carried
from echolia.web.notices.form import SENDER_BYTES, Told
from echolia.web.notices.port import MISSED, Hear, Notice, Tell
from echolia.web.notices.sealing import Seal

ANSWER_S: Final = 5.0
# After so long without a word Redis is asked whether it is there, and has as long again to say so.
QUIET_S: Final = 10.0


class RedisNotices:
    """Between processes that reach one Redis and share the seal's key."""

    def __init__(self, url: str, seal: Seal, quiet_s: float = QUIET_S) -> None:
        # No retries of its own: whoever reconnects silently does not notice what was told meanwhile.
        self._client = Redis.from_url(
            url, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S, retry=Retry(NoBackoff(), 0)
        )
        self._seal = seal
        self._quiet_s = quiet_s
        self._self = secrets.token_bytes(SENDER_BYTES)

    def joined(self, hear: Hear) -> AbstractAsyncContextManager[Tell]:
        """See `Notices.joined`."""
        return carried(self, hear)

    async def deliver(self, notices: Sequence[Notice]) -> None:
        """See `Medium.deliver`: all in one round trip."""
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for notice in notices:
                    sealed = self._seal.close(Told(self._self, notice))
                    pipeline.publish(self._seal.channel, sealed)  # type: ignore[unused-awaitable]  # queued
                await pipeline.execute()
        except (RedisError, OSError) as error:
            raise Away from error

    async def listen(self, hear: Hear) -> None:
        """See `Medium.listen`."""
        try:
            async with aclosing(self._client.pubsub()) as subscribed:
                await subscribed.subscribe(self._seal.channel)
                while True:
                    self._hear(await self._next(subscribed), hear)
        except (RedisError, OSError) as error:
            raise Away from error

    async def _next(self, subscribed: PubSub) -> dict[str, Any]:
        message = await subscribed.get_message(timeout=self._quiet_s)
        if message is None:
            await subscribed.ping()
            message = await subscribed.get_message(timeout=self._quiet_s)
        if message is None:
            raise Away
        found: dict[str, Any] = message
        return found

    def _hear(self, message: dict[str, Any], hear: Hear) -> None:
        if message["type"] == "subscribe":
            hear(MISSED)
        elif message["type"] == "message":
            told = self._seal.open(message["data"])
            if told is not None and told.sender != self._self:
                hear(told.notice)

    async def close(self) -> None:
        """See `Medium.close`."""
        await self._client.aclose()
