"""What a device takes from the world: the time, chance, and waiting; tests bring their own."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from echolia.client.keychain import Keychain, system_keychain

Durably: TypeAlias = Callable[[Callable[[], object]], None]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def at_once(step: Callable[[], object]) -> None:
    """Take a durable step, as a device does."""
    step()


def _jitter() -> float:
    return random.random()  # noqa: S311  # spreads retries; guards nothing


@dataclass(frozen=True, slots=True)
class Environment:
    """`now_ms`: ms since 1970, never trusted; `dice(n)`: n secret random bytes; `jitter`: from 0 to 1.

    `durably` takes each step that outlives the process (a commit, a vault's new name), so that whoever looks
    for what a crash leaves behind can stop before and after every one. `keychain` finds the machine's, if
    there is one.
    """

    now_ms: Callable[[], int] = _now_ms
    dice: Callable[[int], bytes] = secrets.token_bytes
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = _jitter
    durably: Durably = at_once
    checkpoint_changes: int = 100
    keychain: Callable[[], Keychain | None] = system_keychain


REAL = Environment()
