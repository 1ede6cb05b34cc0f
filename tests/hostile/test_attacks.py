"""Every attack: named, with evidence, or harmless; and no edit of anybody's is lost by it."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from echolia.hostile import ATTACKS
from tests.hostile.chapters import BY_ATTACK, nothing
from tests.hostile.journey import Journey, copied, prepared, under

# Each seed is another order of writing and syncing, and another moment for the attack to begin.
SEEDS = int(os.environ.get("ECHOLIA_HOSTILE_SEEDS", "1"))
# These need what one device alone is told, and in one case what a second one does with it.
AGAINST = {"withhold-revocation": ["phone", "tablet"]}


@pytest.fixture(scope="module")
def world_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared world."""
    folder = tmp_path_factory.mktemp("prepared")
    prepared(folder)
    return folder


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_is_caught_or_harmless(
    name: str, seed: int, world_folder: Path, tmp_path: Path
) -> None:
    attack = ATTACKS[name]
    async with copied(world_folder, tmp_path) as world:
        journey = Journey(world, Random(f"{name} {seed}"))
        against = AGAINST.get(name, ["phone"]) if attack.single else []
        await under(journey, attack, BY_ATTACK.get(name, nothing), against)
        caught = await journey.caught()
        print(name, world.operator.lies, caught, journey.errors)
        assert world.operator.lies > 0
        assert bool(caught) == bool(attack.caught)
        assert set(caught.values()) <= attack.caught
        ended = {
            code for name_, code in journey.errors if name_ in journey.members and name_ not in journey.out
        }
        assert ended <= attack.caught | attack.ends
        for device, code in caught.items():
            await journey.stays_stopped(device, code)
        await journey.agreeing([n for n in journey.members if n not in {*caught, *journey.out}])
