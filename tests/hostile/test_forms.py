"""Attacks by form: times, sizes, endless answers, silence, other versions."""

from __future__ import annotations

from echolia.hostile import Attack
from echolia.hostile.attacks import forms
from tests.hostile.meeting import Meeting, each


@each(forms.ATTACKS)
async def test_an_attack_by_form(attack: Attack, seed: int, meeting: Meeting) -> None:
    await meeting.of(attack, seed)
