"""Computes docs/scale.md from measured unit costs and guesses about use (bench/unit_costs.toml).

.venv/bin/python -m bench.scale          # rewrite the tables of the page
.venv/bin/python -m bench.scale --print  # print the page as it would be
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.loads import Cells, Files, Load, Turso, number

HERE = Path(__file__).resolve().parent
COSTS, PAGE = HERE / "unit_costs.toml", HERE.parent / "docs" / "scale.md"
SIZES = (1_000, 100_000, 10_000_000)
BLOCK = re.compile(r"(<!-- computed: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def columns(kind: type[Load], given: Mapping[str, Any]) -> str:
    """A place's table: a column for each number of accounts."""
    each = [dict(kind(accounts, given).rows()) for accounts in SIZES]
    rows = [[name, *(column[name] for column in each)] for name in each[0]]
    return table(["accounts", *(f"{accounts:,}" for accounts in SIZES)], rows)


def order_of_fall(kind: type[Files | Cells], given: Mapping[str, Any]) -> str:
    """What is taken up, as a multiple of all there is, worst first; from how many accounts on it is more."""
    each = [kind(accounts, given).falls() for accounts in SIZES]
    rows = [
        [name, *(number(parts[name]) for parts in each), number(SIZES[-1] / worst)]
        for name, worst in sorted(each[-1].items(), key=lambda part: -part[1])
    ]
    return table(["× of what there is", *(f"{accounts:,}" for accounts in SIZES), "falls at about"], rows)


def measured(given: Mapping[str, Any]) -> str:
    """The unit costs, each with the command that measured it."""
    rows = [
        [each["what"], f"{each['value']:,} {each['unit']}", f"`{each['by']}`", str(each["on"])]
        for each in given["cost"].values()
    ]
    return table(["measured", "value", "by", "on"], rows).replace("---:", "---")


def guessed(given: Mapping[str, Any]) -> str:
    """The guesses, by their names in the file."""
    parts = [f"`{name}` {value}" for group in ("use", "machine") for name, value in given[group].items()]
    return ", ".join(parts) + ".\n"


def page(text: str, given: Mapping[str, Any]) -> str:
    """The page, with what is computed in it computed anew."""
    blocks = {
        "costs": measured,
        "guesses": guessed,
        "everywhere": lambda given: columns(Load, given),
        "files": lambda given: columns(Files, given),
        "files_fall": lambda given: order_of_fall(Files, given),
        "cells": lambda given: columns(Cells, given),
        "cells_fall": lambda given: order_of_fall(Cells, given),
        "turso": lambda given: columns(Turso, given),
    }
    return BLOCK.sub(lambda found: found[1] + blocks[found[2]](given) + found[4], text)


def main() -> None:
    """Rewrite the page, or print it."""
    computed = page(PAGE.read_text(encoding="utf-8"), tomllib.loads(COSTS.read_text(encoding="utf-8")))
    if "--print" in sys.argv[1:]:
        print(computed, end="")
    else:
        PAGE.write_text(computed, encoding="utf-8")


if __name__ == "__main__":
    main()
