"""Attacks on who is in the account: ghosts, hidden and revived devices, key boxes, other accounts."""

from __future__ import annotations

from echolia.hostile import Attack
from echolia.hostile.attacks import members
from tests.hostile.meeting import Meeting, each


@each(members.ATTACKS)
async def test_an_attack_on_the_members(attack: Attack, seed: int, meeting: Meeting) -> None:
    await meeting.of(attack, seed)
