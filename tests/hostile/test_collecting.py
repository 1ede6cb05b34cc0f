"""Attacks by throwing away too early, and in checkpoints and their bases."""

from __future__ import annotations

from echolia.hostile import Attack
from echolia.hostile.attacks import collecting
from tests.hostile.meeting import Meeting, each


@each(collecting.ATTACKS)
async def test_an_attack_by_throwing_away(attack: Attack, seed: int, meeting: Meeting) -> None:
    await meeting.of(attack, seed)
