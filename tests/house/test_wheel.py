"""The wheel carries what a server needs and nothing else, and runs away from the clone."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from this clone by the locked build backend."""
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(out),
        str(repository),
    ]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    [path] = out.glob("echolia-*.whl")
    return path


def test_it_carries_the_package_its_types_and_its_migrations(wheel: Path, repository: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "echolia/py.typed" in names
    assert "echolia/__main__.py" in names
    migrations = list((repository / "migrations").rglob("*.sql"))
    assert migrations
    assert {f"echolia/{path.relative_to(repository)}" for path in migrations} <= names
    assert {"echolia/client/open_export.py", "echolia/client/bip39_english.txt"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_it_carries_nothing_else(wheel: Path) -> None:
    for name in zipfile.ZipFile(wheel).namelist():
        assert name.startswith(("echolia/", "echolia-")), name
        assert "test" not in name.split("/")[1], name
        assert not name.endswith((".db", ".env", ".pyc")), name


def test_it_runs_away_from_the_clone(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONSAFEPATH": "1"}

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert str(tmp_path) in run("-c", "import echolia; print(echolia.__file__)")
    assert "Usage: echolia" in run("-m", "echolia", "--help")
    counted = (
        "from echolia.storage.migrate import load_migrations as m; print(len(m('user')), len(m('directory')))"
    )
    assert "0" not in run("-c", counted).split()
