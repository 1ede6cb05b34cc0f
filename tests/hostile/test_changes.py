"""Attacks on single changes: swapped, cut, padded and edited."""

from __future__ import annotations

from echolia.hostile import Attack
from echolia.hostile.attacks import changes
from tests.hostile.meeting import Meeting, each


@each(changes.ATTACKS)
async def test_an_attack_on_a_change(attack: Attack, seed: int, meeting: Meeting) -> None:
    await meeting.of(attack, seed)
