"""Attacks on signing in: challenges, tokens, signatures for another purpose."""

from __future__ import annotations

from echolia.hostile import Attack
from echolia.hostile.attacks import sign_in
from tests.hostile.meeting import Meeting, each


@each(sign_in.ATTACKS)
async def test_an_attack_on_signing_in(attack: Attack, seed: int, meeting: Meeting) -> None:
    await meeting.of(attack, seed)
