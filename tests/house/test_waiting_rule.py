"""Nothing waits by `asyncio.wait_for`: before Python 3.12 it can swallow a cancellation.

The story: a server sometimes never came to its end. It had cancelled its sweep in the very moment in which
the sweep's `wait_for` heard what it waited for, and `wait_for` preferred the news to the cancellation: the
sweep swept on, and who had cancelled it waited for ever. `async with asyncio.timeout(…)` loses neither.
"""

from __future__ import annotations

import ast

import pytest

from tests.house.conftest import Source


def _offences(tree: ast.AST) -> list[int]:
    """The lines where `wait_for` is asyncio's."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if (
            isinstance(node, ast.Attribute)
            and node.attr == "wait_for"
            and ast.unparse(node.value) == "asyncio"
        )
        or (isinstance(node, ast.ImportFrom) and node.module == "asyncio" and "wait_for" in _names(node))
    ]


def _names(node: ast.ImportFrom) -> list[str]:
    return [alias.name for alias in node.names]


@pytest.mark.parametrize("code", ["await asyncio.wait_for(news.wait(), 1)", "from asyncio import wait_for"])
def test_it_is_caught(code: str) -> None:
    assert _offences(ast.parse(code)) == [1]


def test_the_package_waits_by_timeouts(sources: list[Source]) -> None:
    package = [source for source in sources if source.path.startswith("echolia/")]
    assert {source.path: found for source in package if (found := _offences(source.tree))} == {}
    assert package
