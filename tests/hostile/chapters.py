"""What happens while an attack is on, where writing and syncing alone would not meet it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from echolia.client import EcholiaError
from tests.hostile.journey import NAMES, Chapter, Journey, shown


async def nothing(journey: Journey) -> None:
    """Writing and syncing is enough."""


async def turns(journey: Journey) -> None:
    """Everybody sees what the others wrote, and writes again."""
    for name in ("phone", *("tablet", "laptop") * 2):
        await journey.write(name)
        await journey.sync(name)
    await journey.sync("phone")


async def twice(journey: Journey) -> None:
    """Everybody writes when nobody else has written since they synced."""
    for name in NAMES:
        await journey.sync(name)
        await journey.write(name)
        await journey.sync(name)


async def revocation(journey: Journey) -> None:
    """The laptop revokes the tablet, which goes on writing and syncing."""
    await journey.sync("laptop")
    await journey.devices["laptop"].revoke(journey.devices["tablet"].id)
    journey.out.add("tablet")
    # What the laptop had not seen is behind the cut-off.
    before = await shown(journey.devices["laptop"])
    for _ in range(2):
        await journey.write("tablet")
        await journey.sync("tablet")
        journey.disowned |= journey.wrote["tablet"] - before
        for name in ("laptop", "phone"):
            await journey.sync(name)
        assert not journey.disowned & journey.showed["laptop"], "it shows what lies behind the cut-off"


async def addition(journey: Journey) -> None:
    """The laptop adds a watch, which writes; the phone sees it."""
    await journey.sync("laptop")
    journey.devices["watch"] = await journey.world.added(journey.devices["laptop"], "watch")
    await journey.sync("watch")
    await journey.write("watch")
    for name in ("watch", "phone"):
        await journey.sync(name)


async def failed_addition(journey: Journey) -> None:
    """The laptop tries to add a watch, and cannot."""
    with pytest.RaisesGroup(EcholiaError, flatten_subgroups=True) as failed:
        await journey.world.added(journey.devices["laptop"], "watch")
    journey.errors |= {
        ("laptop", error.code) for error in failed.value.exceptions if isinstance(error, EcholiaError)
    }
    assert len(await journey.devices["laptop"].devices()) == len(NAMES)


async def addition_to_much(journey: Journey) -> None:
    """The laptop has written so much that it makes a checkpoint before it adds a watch."""
    await _much(journey)
    await addition(journey)


async def two_additions_to_much(journey: Journey) -> None:
    """It makes another checkpoint before it adds a ring."""
    await addition_to_much(journey)
    await _much(journey)
    journey.devices["ring"] = await journey.world.added(journey.devices["laptop"], "ring")
    await journey.sync("ring")


async def _much(journey: Journey) -> None:
    async with journey.devices["laptop"].batch() as batch:
        for number in range(120):
            batch.create("entries", {"title": f"much{number}"})
            journey.others_words.add(f"much{number}")
    await journey.sync("laptop")


async def listening(journey: Journey) -> None:
    """The phone listens while the laptop writes."""
    phone = journey.devices["phone"]
    changes = phone.watch()
    await journey.write("phone")
    await asyncio.wait_for(anext(changes), 10)
    await journey.write("laptop")
    await journey.sync("laptop")
    assert isinstance(changes, AsyncGenerator)
    await changes.aclose()


async def question(journey: Journey) -> None:
    """The laptop asks for key boxes, which the SDK does not."""
    try:
        await journey.devices["laptop"]._session.ask("GET", "/auth/key-boxes")
    except EcholiaError as error:
        journey.errors.add(("laptop", error.code))


_CHAPTERS: dict[Chapter, str] = {
    turns: "fork-joined omit-device omit-run reorder replay-runs time-shifted",
    twice: "push-other-log push-other-time push-not-stored",
    revocation: "revive-revoked withhold-revocation",
    addition: "withhold-addition withhold-key-box old-beginning",
    addition_to_much: (
        "checkpoint-withheld checkpoint-edited checkpoint-of-a-ghost checkpoint-of-another"
        " base-omits base-leaves base-repeats base-adds base-flips base-endless"
    ),
    two_additions_to_much: "checkpoint-stale",
    failed_addition: "garbled-pairing",
    listening: "live-silence live-storm",
    question: "ghost-key-box",
}
BY_ATTACK = {name: chapter for chapter, names in _CHAPTERS.items() for name in names.split()}
