"""Attacks in what a device is told of its pushes, acknowledgements and the log's state."""

from __future__ import annotations

from echolia.hostile import Attack
from echolia.hostile.attacks import outcomes
from tests.hostile.meeting import Meeting, each


@each(outcomes.ATTACKS)
async def test_an_attack_by_a_false_outcome(attack: Attack, seed: int, meeting: Meeting) -> None:
    await meeting.of(attack, seed)
