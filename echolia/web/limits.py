"""How often somebody may ask: fixed windows in the memory of this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from typing import ClassVar, Final, TypeAlias

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from echolia.web.context import Refusal

Clock = Callable[[], float]
_SWEEP_S: Final = 60
_Window: TypeAlias = tuple[int, float, float]  # what was counted, from when until when
_NONE: Final[_Window] = (0, 0.0, 0.0)


class WindowStorage(Storage):
    """Counters of fixed windows in a dict.

    The library's own memory storage starts a timer thread every few milliseconds under load and reads the
    wall clock; this one takes the clock (Unix seconds) as an argument and sweeps once a minute. A window that
    has not begun is none either: the clock was set back, and what was counted by the former one would keep
    people out for as long as it was ahead.
    """

    STORAGE_SCHEME: ClassVar[list[str] | None] = None  # type: ignore[misc]  # never made from a URI

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        self._swept = clock()

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """Nothing in memory fails."""
        return ()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount` more in the key's window of `expiry` seconds; returns the window's sum."""
        now = self._clock()
        if not self._swept <= now < self._swept + _SWEEP_S:
            self._sweep(now)
        count, begun, ends = self._windows.get(key, _NONE)
        if not begun <= now < ends:
            count, begun, ends = 0, now, now + expiry
        count += amount
        self._windows[key] = (count, begun, ends)
        return count

    def get(self, key: str) -> int:
        """The sum of the key's running window."""
        count, begun, ends = self._windows.get(key, _NONE)
        return count if begun <= self._clock() < ends else 0

    def get_expiry(self, key: str) -> float:
        """When the key's running window ends, in Unix seconds; now, if none runs."""
        _, begun, ends = self._windows.get(key, _NONE)
        now = self._clock()
        return ends if begun <= now < ends else now

    def check(self) -> bool:
        """Memory is always there."""
        return True

    def reset(self) -> int:
        """Forget everything; returns how many windows that were."""
        count = len(self._windows)
        self._windows.clear()
        return count

    def clear(self, key: str) -> None:
        """Forget one window."""
        self._windows.pop(key, None)

    def _sweep(self, now: float) -> None:
        self._windows = {key: each for key, each in self._windows.items() if each[1] <= now < each[2]}
        self._swept = now


class _PerMinute(RateLimitItemPerMinute):
    """So many a minute, under a key that is composed once where the library would do it at every hit."""

    def key_for(self, *identifiers: bytes | str | float) -> str:
        """The key of one who asks."""
        return f"{self.namespace}/{identifiers[0]!s}"


class Limits:
    """The limits by name, each so many requests a minute; `clock` is in Unix seconds."""

    def __init__(self, per_minute: Mapping[str, int], clock: Clock) -> None:
        self._items: dict[str, RateLimitItem] = {
            name: _PerMinute(amount, namespace=name) for name, amount in per_minute.items()
        }
        self._clock = clock
        self._windows = WindowStorage(clock)
        self._limiter = FixedWindowRateLimiter(self._windows)

    def charge(self, name: str, who: str) -> None:
        """Count one request; raises `rate_limited` with the seconds until the window ends."""
        item = self._items[name]
        if not self._limiter.hit(item, who):
            ends, _ = self._limiter.get_window_stats(item, who)
            raise Refusal("rate_limited", retry_after_s=max(1, ceil(ends - self._clock())))

    def most(self, name: str) -> int:
        """How many requests a minute."""
        return self._items[name].amount

    def running(self, who: str) -> dict[str, int]:
        """How often somebody asked in each window that runs now, by the limit's name."""
        counts = {name: self._windows.get(item.key_for(who)) for name, item in self._items.items()}
        return {name: count for name, count in counts.items() if count}


class Amounts:
    """How much somebody has done within a minute, where the limit is their own; `clock` is in Unix seconds.

    Unlike `Limits` it counts only what was let through: what is refused must not use up the room that
    something smaller would fit into.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows = WindowStorage(clock)

    def used(self, who: str) -> int:
        """What was added within the running minute."""
        return self._windows.get(who)

    def add(self, who: str, amount: int) -> None:
        """Count so much more; a minute begins with the first."""
        self._windows.incr(who, 60, amount)

    def ends_in_s(self, who: str) -> int:
        """When the running minute ends, in whole seconds from now, at least 1."""
        return max(1, ceil(self._windows.get_expiry(who) - self._clock()))
