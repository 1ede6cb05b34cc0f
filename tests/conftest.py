"""What all rooms share: how a test asks for a real program, and property tests that repeat exactly."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.hanging import told_when_hung
from tests.support.postgres import Postgres
from tests.support.surroundings import absent

# No test touches the keychain of whoever runs it, in this process or in one that it starts.
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"

# Servers under test embed by the engine that needs no model, unless the test is of the real one.
os.environ["ECHOLIA_EMBEDDINGS"] = "deterministic"

# Tests that run in the background may have inherited that Ctrl-C is ignored; programs they start heed it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run and no limit on time: a failure is the code's, never the machine's.
settings.register_profile("house", deadline=None, derandomize=True, database=None)
settings.load_profile("house")

REPOSITORY = Path(__file__).resolve().parent.parent
HANGS_AFTER_SECONDS = 600.0  # several times what the longest takes, all it shares with others included


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Each test with its fixtures ends, whatever it waits for."""
    with told_when_hung(HANGS_AFTER_SECONDS):
        return (yield)


class ToldAtOnce:
    """What failed is said when it fails: a run that is cut short has said it."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and reporter is not None:
            reporter.write_line(f"\n{report.nodeid} ({report.when})\n{report.longreprtext[-4000:]}")


def pytest_configure(config: pytest.Config) -> None:
    """Only the process that reports to a person has a reporter; the workers of xdist have none."""
    config.pluginmanager.register(ToldAtOnce(config))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: else one of several processes is left with a journey when the others have ended."""
    items.sort(key=lambda item: "journeys" not in item.path.parts)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the clone: the folder that holds pyproject.toml."""
    return REPOSITORY


@pytest.fixture(scope="session")
def service_binary() -> Callable[[str, str], str]:
    """Find the program a real-service test starts: `service_binary(name, command that installs it)`.

    Returns its path. Absent, the test is skipped with that command; where ECHOLIA_REQUIRE_SERVICES=1
    (continuous integration) it fails instead, so that nothing real goes unnoticed untested.
    """

    def find(name: str, install: str) -> str:
        places = [str(Path(sys.executable).parent), str(REPOSITORY / ".services" / "node_modules" / ".bin")]
        places += map(str, sorted((REPOSITORY / ".services").glob("*/bin")))
        places += map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))  # Debian's
        found = shutil.which(name, path=os.pathsep.join([*places, os.environ["PATH"]]))
        if found is None:
            absent(name, install)
        return found

    return find


@pytest.fixture(scope="session")
def postgres(service_binary: Callable[[str, str], str]) -> Iterator[Postgres]:
    """A PostgreSQL for all tests of this process, which make databases in it; it forgets in a crash."""
    with Postgres(service_binary) as cluster:
        yield cluster
