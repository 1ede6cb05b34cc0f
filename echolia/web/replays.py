"""Which sealed requests were seen before: in memory, as long as they could be taken again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from echolia.core.errors import EcholiaError

# 48 bytes each or so: a server that gets more in four minutes refuses rather than forgets.
MOST: Final = 2_000_000


class Replays(Protocol):
    """One memory for all processes that open with the same keys."""

    async def first(self, enc: bytes, until_ms: int) -> bool:
        """Whether this is seen for the first time; remembered until then. Raises: `unavailable`."""
        ...


class Seen:
    """`Replays` in this process' memory; `clock_ms` is the host's time."""

    def __init__(self, clock_ms: Callable[[], int], most: int = MOST) -> None:
        self._clock_ms = clock_ms
        self._most = most
        # By minutes, so that forgetting costs nothing.
        self._minutes: dict[int, set[bytes]] = {}

    @property
    def count(self) -> int:
        """How many are remembered."""
        return sum(map(len, self._minutes.values()))

    async def first(self, enc: bytes, until_ms: int) -> bool:
        """See `Replays.first`."""
        now = self._clock_ms() // 60_000
        for minute in [minute for minute in self._minutes if minute < now]:
            del self._minutes[minute]
        if any(enc in minute for minute in self._minutes.values()):
            return False
        if self.count >= self._most:
            raise EcholiaError("unavailable", "too many sealed requests")
        self._minutes.setdefault(until_ms // 60_000, set()).add(enc)
        return True
