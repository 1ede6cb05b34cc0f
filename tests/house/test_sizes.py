"""Files, functions and names keep to the measure of the house."""

from __future__ import annotations

import ast
import statistics

from tests.house.conftest import Source

MOST_LINES_A_FILE = 400
MOST_LINES_A_FUNCTION = 60
MOST_LINES_A_USUAL_FUNCTION = 12
ATTICS = frozenset({"utils", "util", "helpers", "helper", "common", "base", "manager", "managers", "misc"})


def functions(source: Source) -> list[tuple[str, int]]:
    """Each function's name and how many lines it takes, its decorators aside."""
    return [
        (f"{source.path}: {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_no_file_is_longer_than_one_idea(sources: list[Source]) -> None:
    long = [
        f"{source.path}: {lines} lines"
        for source in sources
        if (lines := len(source.text.splitlines())) > MOST_LINES_A_FILE
    ]
    assert not long, "\n".join(long)


def test_no_function_needs_scrolling(sources: list[Source]) -> None:
    long = [
        f"{name}: {lines} lines"
        for source in sources
        for name, lines in functions(source)
        if lines > MOST_LINES_A_FUNCTION
    ]
    assert not long, "\n".join(long)


def test_most_functions_are_short(sources: list[Source]) -> None:
    lengths = [
        lines
        for source in sources
        if source.path.startswith("echolia/")
        for _, lines in functions(source)
    ]  # fmt: skip
    assert statistics.median(lengths) <= MOST_LINES_A_USUAL_FUNCTION


def test_no_module_is_an_attic(sources: list[Source]) -> None:
    attics = [
        source.path for source in sources if ATTICS & set(source.path.removesuffix(".py").split("/"))
    ]  # fmt: skip
    assert not attics, "\n".join(attics)


def test_every_module_opens_with_a_sentence(sources: list[Source]) -> None:
    silent = []
    for source in sources:
        docstring = ast.get_docstring(source.tree)
        if source.text.strip() and (not docstring or docstring.split("\n\n")[0].strip()[-1] not in ".:;"):
            silent.append(source.path)
    assert not silent, "\n".join(silent)
