"""Every attack by its name, in the order of the table at the end of `spec/threat-model.md`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from echolia.hostile.attack import Attack
from echolia.hostile.attacks import changes, collecting, forms, histories, members, outcomes, sign_in

_ROOMS: Final = (histories, changes, members, collecting, outcomes, forms, sign_in)

ATTACKS: Final[Mapping[str, Attack]] = MappingProxyType(
    {attack.name: attack for room in _ROOMS for attack in room.ATTACKS}
)
