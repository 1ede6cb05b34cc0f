"""The prepared world, made once, and what meets an attack in a copy of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.journey import prepared
from tests.hostile.meeting import Meeting


@pytest.fixture(scope="session")
def prepared_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's data and the homes of its devices, to be copied."""
    folder = tmp_path_factory.mktemp("prepared")
    prepared(folder)
    return folder


@pytest.fixture
def meeting(prepared_world: Path, tmp_path: Path) -> Meeting:
    """Devices that are about to meet an attack."""
    return Meeting(prepared_world, tmp_path)
