"""What a device takes from the world: the time, chance, and waiting; tests bring their own."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _jitter() -> float:
    return random.random()  # noqa: S311  # spreads retries; guards nothing


@dataclass(frozen=True, slots=True)
class Environment:
    """`now_ms`: ms since 1970, never trusted; `dice(n)`: n secret random bytes; `jitter`: from 0 to 1."""

    now_ms: Callable[[], int] = _now_ms
    dice: Callable[[int], bytes] = secrets.token_bytes
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = _jitter


REAL = Environment()
