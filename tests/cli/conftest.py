"""What the commands are tried on: a real server, homes with an account on it, commands in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.support.command_line import in_process, result, server_process

Run = Callable[..., Result]
Json = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server."""
    with server_process(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture
def new_home(server: str, tmp_path: Path) -> Path:
    """A home with an account of its own."""
    home = tmp_path / "laptop"
    result("init", "--server", server, home=home)
    return home


@pytest.fixture(scope="session")
def first_home(server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that tests copy: making one takes longer than copying it."""
    home = tmp_path_factory.mktemp("first") / "home"
    result("init", "--server", server, home=home)
    return home


@pytest.fixture
def home(first_home: Path, tmp_path: Path) -> Path:
    """A home for one test that does not sync: its account is shared with other tests."""
    return Path(shutil.copytree(first_home, tmp_path / "home"))


@pytest.fixture
def run(home: Path) -> Run:
    """Run a command in this process, on the test's home, without a terminal."""

    def go(*words: str, **more: Any) -> Result:
        return in_process(*words, home=home, **more)

    return go


@pytest.fixture
def run_json(run: Run) -> Json:
    """Run a command that must not fail; gives its JSON."""

    def go(*words: str, **more: Any) -> dict[str, Any]:
        done = run(*words, "--json", **more)
        assert done.exit_code == 0, done.stderr
        loaded = json.loads(done.stdout)
        assert isinstance(loaded, dict)
        return loaded

    return go
