"""The whole server in this process, with a clock that the test turns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from echolia.app import running
from echolia.settings import Settings
from tests.support.asgi import Asker
from tests.support.engines import ENGINE

START_S = 1_795_000_000.0
# A test asks more often than any person: what a limit does is tested where the limit is set.
LIMITS = (
    "register challenge token refresh mailbox anonymous account push pull checkpoint ledger register_free llm"
    " embeddings webhook"
)
GENEROUS: dict[str, Any] = {f"{name}_per_minute": 1_000_000 for name in LIMITS.split()}
# Nor is there need for much room on a disk that is not full.
GENEROUS["disk_reserve_bytes"] = 1 << 16
# Jobs are done when a test says so.
GENEROUS["jobs_seconds"] = 0
# Most tests have devices add and revoke each other at once; those of the rights say so.
GENEROUS["new_device_hours"] = 0
# No model is loaded for what is not about it.
GENEROUS["embeddings"] = "deterministic"


class Clock:
    """Time in Unix seconds that passes when told to."""

    def __init__(self, now_s: float = START_S) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds


def settings_for(data: Path, **changed: Any) -> Settings:
    """Settings of a test's server: its own folder, its engine, generous limits, what the test changes."""
    usual = {"data": data, "threads": 2, "directory_url": ENGINE.url(data), **GENEROUS}
    return Settings(**{**usual, **changed})


@asynccontextmanager
async def served(data: Path, clock: Clock | None = None, **changed: Any) -> AsyncIterator[Asker]:
    """A running server, to be asked."""
    async with running(settings_for(data, **changed), clock or Clock()) as gate:
        yield Asker(gate)
