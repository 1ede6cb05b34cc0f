"""One answer out of several tries: other keys, other models, but never after the first word."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from echolia.core.errors import EcholiaError
from echolia.llm.catalogue import Catalogue, Model
from echolia.llm.providers.port import Ability, Ask, Event, Provider, ProviderFailed

MOST_TRIES: Final = 4
# A provider that asks for more time than this is not waited for: the next one is asked, or who asked is told.
LONGEST_WAIT_S: Final = 4.0
FIRST_WAIT_S: Final = 0.25
# So many failures in a row, and nobody is sent there for a while.
TRIPS_AFTER: Final = 5
TRIPPED_S: Final = 20.0
KEY_REFUSED_S: Final = 300.0
# Another key, or another model, may answer; the same request would meet `upstream_refused` everywhere.
_ELSEWHERE: Final = frozenset(
    {
        "upstream_unreachable", "upstream_timeout", "upstream_overloaded", "upstream_failed",
        "upstream_credentials", "upstream_truncated", "upstream_malformed",
    }
)  # fmt: skip


@dataclass(slots=True)
class Breaker:
    """How it went with one key of a provider lately."""

    failures: int = 0
    until_s: float = 0.0

    def note(self, failed: ProviderFailed | None, now_s: float) -> None:
        """It answered, or did not."""
        if failed is None or failed.code == "upstream_refused":
            self.failures = 0
        elif failed.code == "upstream_credentials":
            self.until_s = now_s + KEY_REFUSED_S
        elif failed.code == "upstream_overloaded" and failed.retry_after_s:
            self.until_s = now_s + failed.retry_after_s
        else:
            self.failures += 1
            if self.failures >= TRIPS_AFTER:
                # After the pause a single failure is enough.
                self.failures, self.until_s = TRIPS_AFTER - 1, now_s + TRIPPED_S


class Told(NamedTuple):
    """An event, and the model that it is of."""

    model: Model
    event: Event


class _Way(NamedTuple):
    model: Model
    provider: Provider
    breaker: Breaker


@dataclass(slots=True)
class Trying:
    """Asks the models of a catalogue; `clock` is monotonic seconds."""

    catalogue: Catalogue
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    tries: int = 0
    _breakers: dict[tuple[str, int], Breaker] = field(default_factory=dict)
    _turns: dict[str, int] = field(default_factory=dict)

    @property
    def tripped(self) -> int:
        """How many keys nobody is sent to just now."""
        now_s = self.clock()
        return sum(breaker.until_s > now_s for breaker in self._breakers.values())

    def models(self, name: str, needs: frozenset[Ability]) -> list[Model]:
        """The model, and those that are asked in its place that could answer as well.

        Raises: `model_unknown`, `model_lacks`, which names what it lacks.
        """
        model = self.catalogue.model(name)
        if lacks := needs - self.catalogue.abilities(model):
            raise EcholiaError("model_lacks", ", ".join(sorted(lacks)))
        others = [self.catalogue.model(other) for other in model.fallback]
        return [model, *(other for other in others if needs <= self.catalogue.abilities(other))]

    async def stream(self, models: list[Model], ask_of: Callable[[Model], Ask]) -> AsyncGenerator[Told, None]:
        """An answer of the first model that gives one, to its end. Raises: `ProviderFailed`."""
        failed = ProviderFailed("upstream_overloaded")
        for tried, way in enumerate(self._ways(models)):
            if tried:
                await self.sleep(_pause_s(tried, failed))
            self.tries += 1
            failure: ProviderFailed | None = None
            delivered = False
            async with aclosing(way.provider.stream(ask_of(way.model))) as events:
                try:
                    async for event in events:
                        delivered = True
                        yield Told(way.model, event)
                except ProviderFailed as error:
                    failure = error
            way.breaker.note(failure, self.clock())
            if failure is None:
                return
            failed = failure
            if delivered or failed.code not in _ELSEWHERE:
                break
        raise failed

    def _ways(self, models: list[Model]) -> Iterator[_Way]:
        """Whom to ask, in order: a model's keys by turns, then the next model; nobody who is tripped."""
        now_s, ways = self.clock(), []
        for model in models:
            keys = self.catalogue.providers[model.provider]
            turn = self._turns[model.provider] = self._turns.get(model.provider, -1) + 1
            for step in range(len(keys)):
                number = (turn + step) % len(keys)
                breaker = self._breakers.setdefault((model.provider, number), Breaker())
                ways.append(_Way(model, keys[number], breaker))
        good = [way for way in ways if way.breaker.until_s <= now_s]
        # Where there is nobody else one is tried all the same: it may be well again.
        order = good or ways[:1]
        if len(order) == 1:
            order *= 2
        yield from order[:MOST_TRIES]


def _pause_s(tried: int, failed: ProviderFailed) -> float:
    if failed.code == "upstream_credentials":
        return 0.0
    wait_s: float = FIRST_WAIT_S * 2 ** (tried - 1) * random.uniform(0.5, 1.5)  # noqa: S311  # no secret
    return min(max(wait_s, failed.retry_after_s or 0.0), LONGEST_WAIT_S)
