"""What the house rules look at: the files of the repository, and Python sources parsed once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

# Folders that tools and servers make; .gitignore names the same ones.
MADE = frozenset(
    {
        ".git", ".venv", ".venv-lock", ".services", "data", "dist", "build", "__pycache__", "node_modules",
        ".hypothesis", ".import_linter_cache", ".mypy_cache", ".pytest_cache", ".ruff_cache",
    }
)  # fmt: skip


class Source(NamedTuple):
    """One Python file: its path from the root, its text and its tree."""

    path: str
    text: str
    tree: ast.Module


def _walk(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.name in MADE or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _walk(entry)
        elif entry.name != ".env":
            yield entry


@pytest.fixture(scope="session")
def files(repository: Path) -> list[Path]:
    """Every file that belongs to the repository, sorted."""
    return list(_walk(repository))


@pytest.fixture(scope="session")
def sources(repository: Path, files: list[Path]) -> list[Source]:
    """Every Python file of the repository, parsed."""
    found = []
    for file in files:
        if file.suffix == ".py":
            text = file.read_text(encoding="utf-8")
            found.append(Source(str(file.relative_to(repository)), text, ast.parse(text)))
    return found


@pytest.fixture(scope="session")
def documents(files: list[Path]) -> list[Path]:
    """Every Markdown file of the repository."""
    return [file for file in files if file.suffix == ".md"]
