"""Attacks by another history: rolled back, forked, left out, reordered, replayed."""

from __future__ import annotations

from echolia.hostile import Attack
from echolia.hostile.attacks import histories
from tests.hostile.meeting import Meeting, each


@each(histories.ATTACKS)
async def test_an_attack_by_another_history(attack: Attack, seed: int, meeting: Meeting) -> None:
    await meeting.of(attack, seed)
