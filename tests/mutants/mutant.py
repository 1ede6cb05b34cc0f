"""A mutant: one rule of the product, broken by one replacement, and the tests that have to notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` stands in `file` once and becomes `new`; then one of `tests` (files, or files::test) fails."""

    breaks: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, tree: Path) -> str:
        """The file's text with the rule broken; raises ValueError if `old` is not there exactly once."""
        text = (tree / self.file).read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(
                f"{self.breaks}: stands {text.count(self.old)} times in {self.file}: {self.old!r}"
            )
        return text.replace(self.old, self.new)
