"""The image's start and health commands, run as plain processes with the image's own environment."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.deployment.dockerfile import Image, read_image
from tests.deployment.processes import clean_environment, find_program, running
from tests.support.ports import free_port

pytestmark = pytest.mark.slow


@pytest.fixture
def image(repository: Path) -> Image:
    """What the Dockerfile would run."""
    return read_image(repository / "Dockerfile")


@pytest.fixture
def environment(image: Image, tmp_path: Path) -> dict[str, str]:
    """The image's variables, with a port and a folder that this machine can give."""
    given = {name: value for name, value in image.environment.items() if name != "PATH"}
    place = {
        "ECHOLIA_HOST": "127.0.0.1",
        "ECHOLIA_PORT": str(free_port()),
        "ECHOLIA_DATA": str(tmp_path / "data"),
    }
    assert set(place) <= set(given)
    return clean_environment(**(given | place))


def found(command: list[str]) -> list[str]:
    program = find_program(command[0])
    assert program is not None, f"{command[0]} is not there"
    return [program, *command[1:]]


def healthy(image: Image, environment: dict[str, str]) -> bool:
    done = subprocess.run(found(image.health_command), env=environment, capture_output=True, check=False)
    return done.returncode == 0


def test_it_starts_is_healthy_and_stops_when_told(
    image: Image, environment: dict[str, str], tmp_path: Path
) -> None:
    assert not healthy(image, environment)
    port = int(environment["ECHOLIA_PORT"])
    with running(found(image.command), port, tmp_path / "log", environment, tmp_path) as process:
        assert healthy(image, environment)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert not healthy(image, environment)


def test_it_writes_only_below_its_data_folder(
    image: Image, environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "cwd"
    folder.mkdir()
    port = int(environment["ECHOLIA_PORT"])
    with running(found(image.command), port, tmp_path / "log", environment, folder):
        assert healthy(image, environment)
    assert list(folder.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cwd", "data", "log"]
