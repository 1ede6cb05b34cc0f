"""The port of counts that several processes keep together."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

WINDOW_S: Final = 60


class Window(NamedTuple):
    """How much is used of a window that runs, and in how many seconds it ends: at most `WINDOW_S`."""

    used: int
    ends_in_s: float


class SharedCounts(Protocol):
    """Counts in fixed windows, each from the first request until `WINDOW_S` later."""

    async def count(self, name: str, who: str) -> Window | None:
        """Count one request more of somebody in the limit `name`; None where it cannot be done in time."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
