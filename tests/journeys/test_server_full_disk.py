"""A full disk keeps what it has and can be relieved: pulls, acks, revocations and deletions go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.service]

# In a mount namespace of its own: nobody else sees the disk, and it ends with the program.
ON_A_DISK = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'


@pytest.fixture(scope="module")
def told(
    service_binary: Callable[[str, str], str], repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the story of a server on a disk of 10 MiB tells."""
    unshare = [service_binary("unshare", "apt-get install util-linux"), "--mount"]
    if os.geteuid():
        unshare += ["--user", "--map-root-user"]
    disk = str(tmp_path_factory.mktemp("disk"))
    program = [sys.executable, "-m", "tests.journeys.full_disk_story", disk]
    done = subprocess.run(
        [*unshare, "sh", "-c", ON_A_DISK, "sh", "10m", disk, *program],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return loaded


FULL = [507, "storage_full", "60"]


def test_pushes_that_fill_it_are_refused(told: dict[str, Any]) -> None:
    assert told["pushes end with"] == FULL


@pytest.mark.parametrize(
    ("what", "status"), [("pull", 200), ("ack", 204), ("sign in", 200), ("revoke", 204), ("delete", 204)]
)
def test_what_relieves_it_or_costs_nothing_goes_on(told: dict[str, Any], what: str, status: int) -> None:
    assert told["first"][what] == [status, "", None]


@pytest.mark.parametrize("what", ["push", "register"])
def test_what_stores_more_does_not_get_the_reserve(told: dict[str, Any], what: str) -> None:
    assert told["first"][what] == FULL
    assert told["later"][what] == FULL


def test_while_it_lives_on_its_reserve_it_is_not_ready(told: dict[str, Any]) -> None:
    assert told["later"]["ack"] == 204
    assert told["later"]["ready"] == [503, "unavailable", "2"]


def test_the_reserve_comes_back_with_twice_its_room(told: dict[str, Any]) -> None:
    assert told["later"]["with half as much beside it"] == [False, "storage_full"]
    assert told["later"]["with room"] == [True, ""]


def test_a_server_starts_on_a_full_disk(told: dict[str, Any]) -> None:
    assert told["later"]["started full"] == [204, "storage_full"]
