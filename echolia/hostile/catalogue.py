"""Every attack, by its room and its name, in the order of the table in `spec/threat-model.md`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from echolia.hostile.attack import Attack
from echolia.hostile.attacks import changes, collecting, forms, histories, members, outcomes, sign_in

ROOMS: Final[Mapping[str, tuple[Attack, ...]]] = MappingProxyType(
    {
        "histories": histories.ATTACKS,
        "changes": changes.ATTACKS,
        "members": members.ATTACKS,
        "collecting": collecting.ATTACKS,
        "outcomes": outcomes.ATTACKS,
        "forms": forms.ATTACKS,
        "sign_in": sign_in.ATTACKS,
    }
)
ATTACKS: Final[Mapping[str, Attack]] = MappingProxyType(
    {attack.name: attack for attacks in ROOMS.values() for attack in attacks}
)
