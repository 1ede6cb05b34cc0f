"""The hunt tells a rule that is broken unnoticed from one that is caught, and from what it cannot judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.__main__ import copied, judged
from tests.mutants.mutant import Mutant

pytestmark = pytest.mark.slow

CAUGHT = Mutant(
    "the floor of lengths is lowered",
    "echolia/core/padding.py",
    "    if length <= FLOOR_BYTES:\n        return FLOOR_BYTES\n",
    "",
    ("tests/core/test_padding.py",),
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("hunt"))


def test_a_rule_that_is_missed_is_caught_and_mended(tree: Path) -> None:
    before = (tree / CAUGHT.file).read_text()
    finding = judged(tree, CAUGHT, 300)
    assert finding.verdict == "caught"
    assert finding.caught_by.startswith("tests/core/test_padding.py::test_")
    assert (tree / CAUGHT.file).read_text() == before


@pytest.mark.parametrize(
    ("new", "tests", "verdict"),
    [
        ("    if length <= FLOOR_BYTES:\n        return 256\n", CAUGHT.tests, "SURVIVED"),
        ("", ("tests/core/test_nowhere.py",), "no test ran"),
        ("", ("tests/mutants/mutant.py",), "no test ran"),
    ],
)
def test_what_is_not_caught_is_told(tree: Path, new: str, tests: tuple[str, ...], verdict: str) -> None:
    mutant = Mutant(CAUGHT.breaks, CAUGHT.file, CAUGHT.old, new, tests)
    assert judged(tree, mutant, 300).verdict.startswith(verdict)


def test_one_that_no_longer_applies_is_told(tree: Path) -> None:
    mutant = Mutant(CAUGHT.breaks, CAUGHT.file, "not there", "", CAUGHT.tests)
    assert judged(tree, mutant, 300).verdict.startswith("does not apply")
