"""Who of other machines lives: told by beats as one sees them, whatever anybody's clock says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from echolia.workers.census import Locks, host_of, since_boot_ms
from echolia.workers.placement import Pulse, pulse_of
from echolia.workers.store import Worker

HERE, THERE = b"h" * 16, b"t" * 16
PULSE = Pulse(look_s=1.0, silent_ms=9_000, dead_ms=15_000)


class Watching:
    """A process that looks at another machine's."""

    def __init__(self, folder: Path) -> None:
        self.now_ms = 500
        self.locks = Locks(folder, HERE, PULSE)

    def look(self, beat_ms: int, after_ms: int = 1000, took_ms: int = 0) -> bool:
        """Look after some time, at a beat that the other one says; whether it lives."""
        self.now_ms += after_ms
        other = Worker(b"w" * 16, THERE, "10.0.0.6:8100", beat_ms)
        self.locks.look([other], self.now_ms, self.now_ms + took_ms)
        self.now_ms += took_ms
        return self.locks.lives(other)


@pytest.fixture
def watching(tmp_path: Path) -> Watching:
    """It has just started."""
    return Watching(tmp_path)


@pytest.mark.parametrize("first", [-(2**62), 0, 2**62])
def test_who_beats_lives_whatever_its_clock_says(watching: Watching, first: int) -> None:
    for n in range(40):
        assert watching.look(first + n % 2)


@pytest.mark.parametrize("beat", [-(2**62), 0, 2**62])
def test_who_does_not_is_dead_after_the_pulse_s_time(watching: Watching, beat: int) -> None:
    assert [watching.look(beat) for _ in range(17)] == [True] * 15 + [False] * 2
    assert watching.look(beat + 1), "it was only slow"


def test_an_answer_that_comes_late_makes_nobody_dead_earlier(watching: Watching) -> None:
    watching.look(7, took_ms=4000)
    assert [watching.look(7) for _ in range(16)] == [True] * 14 + [False] * 2


def test_who_has_not_looked_for_long_does_not_judge(watching: Watching) -> None:
    for _ in range(10):
        watching.look(7)
    assert watching.look(7, after_ms=60_000), "the directory was away: nobody could beat"
    assert [watching.look(7) for _ in range(15)] == [True] * 14 + [False]


def test_processes_of_this_machine_are_told_by_their_locks(tmp_path: Path) -> None:
    watching = Watching(tmp_path)
    one = Worker(b"1" * 16, HERE, "10.0.0.5:8100", 0)
    held = watching.locks.hold(one.id)
    assert watching.locks.lives(one)
    held.release()
    assert not watching.locks.lives(one)


def test_who_cannot_be_reached_is_no_part_of_it(watching: Watching) -> None:
    other = Worker(b"w" * 16, THERE, "", 0)
    watching.locks.look([other], 500, 500)
    assert not watching.locks.lives(other)


def test_a_copy_of_the_folder_is_another_machine(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    one = host_of(tmp_path / "one")
    assert host_of(tmp_path / "one") == one
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert host_of(tmp_path / "two") != one


def test_the_usual_pulse_is_that_of_the_setting() -> None:
    assert pulse_of(15) == PULSE
    assert pulse_of(1.5) == Pulse(0.1, 900, 1500)


def test_the_clock_goes_on() -> None:
    assert 0 < since_boot_ms() <= since_boot_ms()
