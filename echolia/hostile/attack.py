"""An attack: its name, what the server does, and what is known of how an honest device meets it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from echolia.hostile.lie import Lie

NOTHING: Final = frozenset[str]()


@dataclass(frozen=True, slots=True)
class Attack:
    """`server` says what the server does, as a sentence without its subject.

    A device meets it in one of two ways. It names one of `caught`, keeps the answer as evidence and stops; or
    the attack is harmless: there is no evidence. In both, syncs may end with one of `ends` while it lasts.
    `why` adds to either. `single`: a device has to be told something else than the others are.
    """

    name: str
    server: str
    lie: Callable[[], Lie]
    caught: frozenset[str] = NOTHING
    ends: frozenset[str] = NOTHING
    why: str = ""
    single: bool = False

    @property
    def device(self) -> str:
        """What a device does, as the table of `spec/threat-model.md` has it."""
        if self.caught:
            told = " or ".join(f"`{code}`" for code in sorted(self.caught))
            return f"{told}; {self.why}" if self.why else told
        while_it_lasts = f" (`{'`, `'.join(sorted(self.ends))}` while it lasts)" if self.ends else ""
        return f"harmless{while_it_lasts}: {self.why}"


def codes(text: str) -> frozenset[str]:
    """Error codes from a text of several."""
    return frozenset(text.split())
