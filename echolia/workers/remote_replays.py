"""What was seen of sealed requests, as the supervisor remembers it for all workers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from echolia.core.errors import EcholiaError
from echolia.web.replays import Replays
from echolia.workers.channel import Gone, Handler

_VERB: Final = "sealed request"


class RemoteReplays:
    """`Replays` of the supervisor, which has the keys as long as anybody has; `ask` asks it."""

    def __init__(self, ask: Callable[..., Awaitable[bool]]) -> None:
        self._ask = ask

    async def first(self, enc: bytes, until_ms: int) -> bool:
        """See `Replays.first`."""
        try:
            return await self._ask(_VERB, enc, until_ms)
        except Gone:
            raise EcholiaError("unavailable", "the process that remembers sealed requests ended") from None


def answering(replays: Replays) -> dict[str, Handler]:
    """The verb by which workers ask."""
    return {_VERB: replays.first}
