"""Every rule that `make mutants` breaks is still where it was, and so are the tests that have to notice."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants.mutant import Mutant
from tests.mutants.rules import ALL

LEAST = 10


@pytest.mark.parametrize("mutant", ALL, ids=[mutant.breaks for mutant in ALL])
def test_it_still_applies(mutant: Mutant, repository: Path) -> None:
    broken = mutant.applied(repository)
    assert broken != (repository / mutant.file).read_text()
    ast.parse(broken)
    assert mutant.tests
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (repository / file).read_text() or not name, test


def test_there_are_enough_and_each_is_named_once() -> None:
    assert len(ALL) >= LEAST
    assert [name for name, times in Counter(mutant.breaks for mutant in ALL).items() if times > 1] == []


@pytest.mark.parametrize("old", ["nowhere to be found", "\n"])
def test_one_that_no_longer_applies_is_noticed(old: str, repository: Path) -> None:
    with pytest.raises(ValueError, match="times in"):
        replace(ALL[0], old=old).applied(repository)
