"""The recovery phrase at a terminal: shown in rows, and asked for so that it is written down."""

from __future__ import annotations

from secrets import SystemRandom
from typing import TYPE_CHECKING, Final

from echolia.client.cli.session import Session
from echolia.client.cli.text_input import asked, at_terminal

if TYPE_CHECKING:
    from echolia.client import Device

_ASKED_WORDS: Final = 3


def phrase_lines(phrase: str) -> list[str]:
    """The 24 words in rows of six, numbered."""
    words = phrase.split()
    rows = range(0, len(words), 6)
    lines = ("   ".join(f"{n + 1:2} {words[n]:9}" for n in range(row, row + 6)) for row in rows)
    return [f"  {line.rstrip()}" for line in lines]


async def keep_phrase(session: Session, device: Device, phrase: str) -> None:
    """At a terminal, ask for three of the words, so that they are written down; then forget them here."""
    if at_terminal() and not (session.out.json or session.out.quiet):
        words = phrase.split()
        asked("Press Enter once they are written down.")
        for n in sorted(SystemRandom().sample(range(len(words)), _ASKED_WORDS)):
            while asked(f"Word {n + 1}?").strip().lower() != words[n]:
                session.out.aside("That is another word; look again.")
    await device.phrase_kept()
