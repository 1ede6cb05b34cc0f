"""How the demonstration is shown: acts, remarks and tables; nothing at all where JSON is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from echolia.client.cli.output import plain

LEAST_WIDTH = 60
PIPE_WIDTH = 110


class Stage:
    """Where the story is told; `shown` false keeps it silent."""

    def __init__(self, shown: bool) -> None:
        console = Console(highlight=False, quiet=not shown)
        narrow = not console.is_terminal
        self._console = Console(highlight=False, quiet=not shown, width=PIPE_WIDTH) if narrow else console
        self._acts = 0

    def act(self, title: str) -> None:
        """Begin a part of the story."""
        self._acts += 1
        self._console.print()
        self._console.print(Rule(Text(f" {self._acts}  {title} ", style="bold"), align="left", style="dim"))

    def say(self, text: str, style: str = "") -> None:
        """A sentence."""
        self._console.print(Text(plain(text), style=style))

    def promise(self, held: bool, text: str) -> bool:
        """A promise and whether it held, which is also what comes back."""
        mark = ("✓ ", "bold green") if held else ("✗ this does not hold: ", "bold red")
        self._console.print(Text.assemble(mark, plain(text)))
        return held

    def note(self, title: str, text: str) -> None:
        """A note as a person reads it."""
        self._console.print(
            Panel(Text(plain(text)), title=Text(plain(title)), title_align="left", expand=False)
        )

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Facts side by side."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for heading in headings:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*(Text(plain(cell)) for cell in row))
        self._console.print(table)
