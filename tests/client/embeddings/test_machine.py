"""What a machine reports of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from echolia.client.embeddings.machine import capability


def supply(folder: Path, name: str, **said: str) -> None:
    """A power supply as Linux shows it."""
    (folder / name).mkdir(parents=True)
    for fact, value in said.items():
        (folder / name / fact).write_text(f"{value}\n")


@pytest.mark.parametrize(
    ("status", "percent", "power"),
    [("Discharging", "80", "battery"), ("Discharging", "19", "low"), ("Charging", "5", "mains")],
)
def test_a_battery_that_is_emptied_counts(tmp_path: Path, status: str, percent: str, power: str) -> None:
    supply(tmp_path / "supplies", "AC", type="Mains", online="0")
    supply(tmp_path / "supplies", "BAT0", type="Battery", status=status, capacity=percent)
    found = capability(frozenset(), may_send=True, supplies=tmp_path / "supplies")
    assert found.power == power


def test_what_nobody_says_is_taken_for_well(tmp_path: Path) -> None:
    found = capability(
        frozenset({bytes(32)}), may_send=False, memory=tmp_path / "none", supplies=tmp_path / "none"
    )
    assert (found.power, found.memory_bytes, found.may_send) == ("mains", 4 * 2**30, False)
    assert found.cores >= 1 and found.installed == {bytes(32)}


def test_memory_is_what_is_available(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 900 kB\nMemFree: 1 kB\nMemAvailable:    300 kB\n")
    assert capability(frozenset(), may_send=True, memory=tmp_path / "meminfo").memory_bytes == 300 * 1024
