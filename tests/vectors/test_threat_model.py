"""Every test and vector that the threat model calls as a witness exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

CITED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
VECTOR = re.compile(r"`([a-z][a-z0-9-]*/[a-z0-9-]+)`")


def missing(text: str, repository: Path) -> list[str]:
    """What a text names that is not there."""
    found = []
    for path, name in CITED.findall(text):
        file = repository / path
        tests = _tests(file) if file.exists() else set()
        if not tests or (name and name not in tests):
            found.append(f"{path}::{name}")
    vectors = repository / "spec" / "vectors"
    return found + [case for case in VECTOR.findall(text) if not (vectors / f"{case}.json").exists()]


def _tests(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name for node in functions if node.name.startswith("test_")}


def test_every_witness_is_there(repository: Path) -> None:
    text = (repository / "spec" / "threat-model.md").read_text(encoding="utf-8")
    assert len(CITED.findall(text)) > 20 and len(VECTOR.findall(text)) > 40
    assert missing(text, repository) == []


@pytest.mark.parametrize(
    "text",
    [
        "`tests/core/test_runs.py::test_nobody_wrote`",
        "`tests/core/test_nothing.py`",
        "`run/refused-nothing-at-all`",
    ],
)
def test_a_witness_that_is_not_there_is_noticed(text: str, repository: Path) -> None:
    assert len(missing(text, repository)) == 1
