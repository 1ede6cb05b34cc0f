"""Providers that do as they are told, each try as its script says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Final

from echolia.llm.catalogue import Catalogue, Model
from echolia.llm.prices import OwnPrice, own_price
from echolia.llm.providers.port import (
    ABILITIES,
    Ability,
    Ask,
    Ended,
    Event,
    ProviderFailed,
    Text,
    Usage,
)

ENDED: Final = Ended("stop", Usage(10, 5))
# A step is told, raised, or waited for as long as it takes; "hang" never comes.
Step = Event | ProviderFailed | asyncio.Event


@dataclass
class Scripted:
    """A `Provider`: its scripts one after the other, the last one for ever."""

    scripts: list[Sequence[Step]]
    abilities: frozenset[Ability] = frozenset(ABILITIES)
    asked: list[Ask] = field(default_factory=list)
    closed: int = 0

    async def until_asked(self) -> None:
        """Return once somebody asks."""
        while not self.asked:  # noqa: ASYNC110
            await asyncio.sleep(0)

    async def stream(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """As the script says."""
        await ask.admitted()
        script = self.scripts[min(len(self.asked), len(self.scripts) - 1)]
        self.asked.append(ask)
        try:
            for step in script:
                if isinstance(step, asyncio.Event):
                    await step.wait()
                elif isinstance(step, ProviderFailed):
                    raise step
                else:
                    yield step
        finally:
            self.closed += 1

    async def models(self) -> Sequence[str]:
        """None."""
        return []

    async def close(self) -> None:
        """Nothing is open."""


def said(*words: str) -> list[Step]:
    """An answer of these words."""
    return [*map(Text, words), ENDED]


def model(name: str, *fallback: str, price: float = 0, most: int = 100) -> Model:
    """A model that the provider of the same name has, `price` dollars for a million tokens out."""
    return Model(name, name, name, most, own_price(OwnPrice(price, price)), fallback)


def catalogue(*models: Model, **providers: Scripted | Sequence[Scripted]) -> Catalogue:
    """These models; a provider may have several keys."""
    keys = {name: (one,) if isinstance(one, Scripted) else tuple(one) for name, one in providers.items()}
    return Catalogue({one.name: one for one in models}, keys)
