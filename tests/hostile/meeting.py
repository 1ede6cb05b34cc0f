"""Meeting an attack: it is caught by name, with evidence, or it is harmless; and no edit is lost by it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from echolia.hostile import Attack
from tests.hostile.chapters import BY_ATTACK, nothing
from tests.hostile.journey import Journey, copied, under

# Each seed is another order of writing and syncing, and another moment for the attack to begin.
SEEDS = int(os.environ.get("ECHOLIA_HOSTILE_SEEDS", "1"))
# These are met when the honest log is served again: until then the two sides look offline to each other.
_LATE = {"fork", "time-last"}
# What only one device is told is told to the phone; and in one case the revoked tablet is in it, too.
_AGAINST = {"withhold-revocation": ("phone", "tablet")}


def each(attacks: Iterable[Attack]) -> pytest.MarkDecorator:
    """Run a test with each of these attacks and each seed."""
    cases = [
        pytest.param(attack, seed, id=f"{attack.name}-{seed}") for attack in attacks for seed in range(SEEDS)
    ]
    return pytest.mark.parametrize(("attack", "seed"), cases)


@dataclass(frozen=True)
class Meeting:
    """The prepared world and the folder that its copy is to live in."""

    prepared: Path
    folder: Path

    async def of(self, attack: Attack, seed: int) -> None:
        """Three devices and an attack, from before it begins until long after it has ended."""
        against = _AGAINST.get(attack.name, ("phone",)) if attack.single else ()
        async with copied(self.prepared, self.folder) as world:
            journey = Journey(world, Random(f"{attack.name} {seed}"))
            await under(journey, attack, BY_ATTACK.get(attack.name, nothing), against)
            await _judge(journey, attack)


async def _judge(journey: Journey, attack: Attack) -> None:
    assert journey.lies, "the attack changed no answer"
    caught = await journey.caught()
    assert bool(caught) == bool(attack.caught), f"caught: {caught}, errors: {journey.errors}"
    assert set(caught.values()) <= attack.caught
    assert bool(journey.in_time) == bool(attack.caught) or attack.name in _LATE, "it was not caught in time"
    members = [name for name in journey.members if name not in journey.out]
    ended = {code for name, code in journey.errors if name in members}
    assert ended <= attack.caught | attack.ends
    for name, code in caught.items():
        await journey.stays_stopped(name, code)
    await journey.agreeing([name for name in members if name not in caught])
