"""What people really typed is typed again on two devices at once, and comes out to the letter."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from bench.editing_traces import INSTALL, TYPING_LOG, Edit, Trace, typed
from bench.long_text import Pace, check, desks_at, replay
from tests.support.process import ServerProcess

pytestmark = pytest.mark.slow


@pytest.mark.service
async def test_real_keystrokes_on_two_devices_come_to_the_text_that_was_typed(tmp_path: Path) -> None:
    if not TYPING_LOG.is_file():
        absent = f"the typing log is not installed; install it by: {INSTALL}"
        if os.environ.get("ECHOLIA_REQUIRE_SERVICES") == "1":
            pytest.fail(absent)
        pytest.skip(absent)
    await typed_on_two_devices(typed(1_500), Pace(keys=12), tmp_path)


async def test_whatever_is_deleted_around_markers_they_stay(tmp_path: Path) -> None:
    """Long deletions, which no typist makes, over places where the other device sets markers."""
    dice, text, edits = random.Random(3), "", list[Edit]()
    for number in range(120):
        position = dice.randint(0, len(text))
        gone = dice.randint(0, min(12, len(text) - position))
        new = f"<{number} é📊>" if number % 3 else ""
        edits.append(Edit(position, gone, new))
        text = text[:position] + new + text[position + gone :]
    await typed_on_two_devices(Trace("random", edits, text), Pace(keys=3, changes=4, syncs=1), tmp_path)


async def typed_on_two_devices(trace: Trace, pace: Pace, folder: Path) -> None:
    with ServerProcess(folder / "server") as server:
        desks = await desks_at(server.url, folder)
        async with desks[0].device, desks[1].device:
            markers = await replay(trace, desks, pace, random.Random(7))
            assert markers > 20
            check(trace, [await desk.text() for desk in desks], markers)


@pytest.mark.parametrize("shown", ["on", "⟦00000⟧oen", "one⟦00000⟧⟦00000⟧", "one⟦00001⟧"])
def test_a_text_that_is_not_what_was_typed_is_noticed(shown: str) -> None:
    with pytest.raises(AssertionError):
        check(Trace("", [], "one"), [shown, shown], markers=1)


def test_texts_that_differ_are_noticed() -> None:
    with pytest.raises(AssertionError, match="different"):
        check(Trace("", [], "one"), ["one", "one "], markers=0)
