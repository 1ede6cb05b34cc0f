"""Documents hold: links lead somewhere, nothing names a line, decisions say all four things."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HEADINGS = ("Context", "Decision", "Consequence", "The rule that keeps it")
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
CITATION = re.compile(r"\b((?:spec|docs)/[\w./-]+\.md)(#[\w-]+)?")
LINE_NUMBER = re.compile(
    r"\.(?:py|sql|md|toml|yml):\d+|\.\w+#L\d+|\blines? \d+\b(?! *(?:or|to)? *(?:long|at most))"
)
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as the usual renderers make them."""
    found = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", FENCE.sub("", document.read_text()), re.MULTILINE):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-"))
    return found


def missing(target: Path, anchor: str) -> bool:
    """Whether the link's target or its anchor is not there."""
    if not target.exists():
        return True
    return bool(anchor) and target.suffix == ".md" and anchor.lstrip("#") not in anchors(target)


def test_every_link_leads_somewhere(repository: Path, documents: list[Path]) -> None:
    dead = []
    for document in documents:
        for link in LINK.findall(FENCE.sub("", document.read_text())):
            path, _, anchor = link.partition("#")
            if not re.match(r"[a-z]+:", link) and missing(
                document.parent / path if path else document, anchor
            ):
                dead.append(f"{document.relative_to(repository)}: {link}")
    assert not dead, "\n".join(dead)


def test_every_citation_of_the_spec_leads_somewhere(repository: Path, files: list[Path]) -> None:
    dead = set()
    for file in files:
        if file.suffix in {".py", ".sql", ".toml", ".md"} and "house" not in file.parts:
            for path, anchor in CITATION.findall(file.read_text()):
                if missing(repository / path, anchor):
                    dead.add(f"{file.relative_to(repository)}: {path}{anchor}")
    assert not dead, "\n".join(sorted(dead))


def test_documents_name_things_and_never_lines(repository: Path, documents: list[Path]) -> None:
    named = [
        f"{document.relative_to(repository)}: {match.group()}"
        for document in documents
        for match in LINE_NUMBER.finditer(document.read_text())
    ]
    assert not named, "\n".join(named)


def test_every_decision_says_all_four_things(repository: Path) -> None:
    decisions = sorted((repository / "docs" / "decisions").glob("*.md"))
    assert decisions
    numbers = [decision.name[:5] for decision in decisions]
    assert all(re.fullmatch(r"\d{4}-", number) for number in numbers) and len(set(numbers)) == len(numbers)
    for decision in decisions:
        headings = re.findall(r"^## (.+)$", decision.read_text(), re.MULTILINE)
        assert tuple(headings) == HEADINGS, decision.name


@pytest.mark.parametrize("text", ["see store.py:12", "`app.py#L3`", "at line 40 of it", "lines 3 and 4"])
def test_a_line_number_is_noticed(text: str) -> None:
    assert LINE_NUMBER.search(text)
