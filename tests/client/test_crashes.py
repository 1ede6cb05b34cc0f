"""A device that is killed between any two lines has lost nothing that it had said was done."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

# A few points in every run; continuous integration asks for many more.
POINTS = os.environ.get("ECHOLIA_CRASH_POINTS", "4")


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["edit", "sync", "init", "join", "export", "take_in"])
def test_kill_9_anywhere(scenario: str, tmp_path: Path, repository: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.client.crashes", scenario, POINTS, str(tmp_path / "stage")],
        capture_output=True,
        text=True,
        cwd=repository,
        timeout=1800,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    summary = re.search(r"(\d+) kills in (\d+) lines", run.stdout)
    assert summary is not None
    assert int(summary[1]) >= int(POINTS) * 3 // 4
