"""docs/scale.md says what its script computes, from costs that each name how they were measured."""

from __future__ import annotations

import copy
import datetime as dt
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bench.loads import Cells, Files, number, size, span
from bench.scale import BLOCK, COSTS, PAGE, page

MOST_LINES = 200
BLOCKS = {"costs", "guesses", "everywhere", "files", "files_fall", "cells", "cells_fall", "turso"}


@pytest.fixture
def given() -> dict[str, Any]:
    """The costs and guesses of the repository."""
    return tomllib.loads(COSTS.read_text(encoding="utf-8"))


def test_the_page_is_what_is_computed(given: dict[str, Any]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, given) == text, "run `python -m bench.scale`"
    assert {found[1] for found in BLOCK.findall(text)} == BLOCKS
    assert len(text.splitlines()) <= MOST_LINES


def test_every_cost_says_how_it_was_measured(given: dict[str, Any], repository: Path) -> None:
    for name, cost in given["cost"].items():
        assert cost["value"] > 0 and cost["unit"] and cost["what"], name
        assert isinstance(cost["on"], dt.date), name
        (program,) = re.findall(r"bench/\w+\.py|-m bench\.\w+|tests/[\w/]+\.py", cost["by"])
        path = program.removeprefix("-m ").replace("bench.", "bench/") if "-m" in program else program
        assert (repository / path.removesuffix(".py")).with_suffix(".py").exists(), name


@pytest.mark.parametrize("group", ["cost", "use", "machine"])
def test_the_page_depends_on_every_value(group: str, given: dict[str, Any]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    before = {found[1]: found[2] for found in BLOCK.findall(text)}
    for name, value in given[group].items():
        changed = copy.deepcopy(given)
        if group == "cost":
            changed[group][name]["value"] = value["value"] * 10
        else:
            changed[group][name] = value * 10
        told = {found[1]: found[2] for found in BLOCK.findall(page(text, changed))}
        assert any(told[block] != before[block] for block in BLOCKS - {"costs", "guesses"}), name


def test_more_accounts_take_more(given: dict[str, Any]) -> None:
    for kind in (Files, Cells):
        few, many = kind(1_000, given).falls(), kind(1_000_000, given).falls()
        assert all(many[part] > few[part] for part in few), kind


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (number(0.00004), "0.00004"), (number(0.0691), "0.069"), (number(5.0), "5"),
        (number(2_345_678), "2,300,000"),
        (size(36_864), "37 kB"), (size(4.08e12), "4.1 TB"), (span(0.05), "50 ms"), (span(90), "90 s"),
        (span(90_000), "25 h"), (span(300_000), "3.5 days"),
    ],
)  # fmt: skip
def test_figures_have_the_digits_that_are_worth_anything(told: str, expected: str) -> None:
    assert told == expected
