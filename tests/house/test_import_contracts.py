"""Each import contract can fail: break it in a copy of the package and the linter says so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest


class Breach(NamedTuple):
    """One way to break a contract: `text` is added to the end of `module` (made if it is not there)."""

    contract: str
    module: str
    text: str


BREACHES = {
    "an import upward": Breach("floors", "storage/engine.py", "import echolia.web"),
    "siblings": Breach("floors", "sync/service.py", "import echolia.auth.service"),
    "a server that knows a fake": Breach("floors", "payments/routes.py", "import echolia.fake_stores"),
    "a room on no floor": Breach("floors", "attic.py", "'''An attic.'''"),
    "a store that knows its service": Breach("rooms", "sync/store.py", "import echolia.sync.service"),
    "a room nobody planned": Breach("rooms", "auth/attic.py", "'''An attic.'''"),
    "a route that opens a table": Breach("doors", "auth/routes.py", "from echolia.auth import store"),
    "a server with secrets": Breach("blind-server", "web/peek.py", "import echolia.e2ee"),
    "a server with secrets by a detour": Breach("blind-server", "core/detour.py", "import echolia.e2ee"),
    "a clock in the core": Breach("pure-core", "core/now.py", "import time"),
    "dice in the core": Breach("pure-core", "core/dice.py", "from secrets import token_bytes"),
    "a framework in the core": Breach("pure-core", "core/model.py", "from pydantic import BaseModel"),
    "a device that knows the server": Breach("device", "client/shortcut.py", "import echolia.storage"),
    "a device that asks a provider itself": Breach("device", "client/asking.py", "import anthropic"),
    "an attack with keys": Breach("operator", "hostile/forging.py", "import echolia.e2ee.keys"),
    "a circle": Breach("no-circles", "core/errors.py", "import echolia.core.circle_end"),
}  # fmt: skip
# The circle and the detour need a second half; harmless where nothing leads to it.
OTHER_HALVES = {
    "core/circle_end.py": "import echolia.core.errors",
    "web/detour_start.py": "import echolia.core.detour",
}


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    """The package's Python files and the contracts, in a folder of their own."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(repository / "echolia", tmp_path / "echolia", ignore=ignore)
    shutil.copy(repository / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder: Path, contract: str) -> subprocess.CompletedProcess[str]:
    """Run one contract over the package in `folder`."""
    program = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as c; c()"
    )
    command = [sys.executable, "-c", program, "--no-cache", "--no-logo", "--contract", contract]
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_every_contract_is_explained_and_broken_here(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())
    contracts = {contract["id"] for contract in project["tool"]["importlinter"]["contracts"]}
    explained = re.findall(r"^\| `([a-z-]+)` \|", (repository / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert contracts == set(explained) == {breach.contract for breach in BREACHES.values()}


@pytest.mark.slow
@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_is_seen(name: str, copy: Path) -> None:
    breach = BREACHES[name]
    module = copy / "echolia" / breach.module
    module.parent.mkdir(exist_ok=True)
    if breach.contract == "no-circles" or breach.module == "core/detour.py":
        for half, text in OTHER_HALVES.items():
            (copy / "echolia" / half).write_text(text + "\n")
    with module.open("a") as file:
        file.write("\n" + breach.text + "\n")

    result = lint(copy, breach.contract)

    assert result.returncode == 1, result.stdout + result.stderr
    assert "BROKEN" in result.stdout


@pytest.mark.slow
def test_the_package_as_it_stands_keeps_all_of_them(copy: Path) -> None:
    for contract in sorted({breach.contract for breach in BREACHES.values()}):
        result = lint(copy, contract)
        assert result.returncode == 0, result.stdout + result.stderr
