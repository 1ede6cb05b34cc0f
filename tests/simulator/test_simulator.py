"""The simulator holds what it says, repeats exactly, and can fail. `make simulate` runs it at length."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulator import oracles
from tests.simulator.__main__ import main
from tests.simulator.campaign import Outcome, Report, command, run, simulate
from tests.simulator.crashes import Crashed
from tests.simulator.disks import Disk
from tests.simulator.expectations import Event
from tests.simulator.virtual_time import NeverEnds, run_virtually
from tests.simulator.world import Broken, World

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [1001, 1002, 1003])
def test_every_promise_holds(seed: int) -> None:
    report = run([seed], steps=150, processes=1)
    assert not report.failures, report.failures[0].problem
    assert report.tally["edits"] > 50 and report.tally["exchanges"] > 50 and report.faults()
    assert f"1 seeds, {report.steps:,} steps" in report.line()


def test_a_seed_repeats_byte_for_byte_in_another_process(repository: Path) -> None:
    words = [sys.executable, "-m", "tests.simulator", "--first", "1009", "--seeds", "1", "--steps", "60"]
    told = [
        subprocess.run(
            words,
            cwd=repository,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert told[0] == told[1]
    assert b"every promise held" in told[0]


async def _lives(seed: int, folder: Path, missed: bool) -> None:
    world = World(seed, folder)
    try:
        await world.run(40)
        if missed:
            told = world.edits.expected.all[-1]
            world.edits.expected.add(Event(told.object, told.device, told.counter, told.past, typed="䨻"))
        await oracles.check(world)
    finally:
        await world.end()


@pytest.mark.parametrize("missed", [False, True])
def test_an_edit_that_was_done_and_is_nowhere_is_missed(tmp_path: Path, missed: bool) -> None:
    if not missed:
        return run_virtually(_lives(1011, tmp_path, missed))
    with pytest.raises(Broken, match="characters lost: \\['䨻'\\]"):
        run_virtually(_lives(1011, tmp_path, missed))
    return None


def test_a_failure_says_how_it_is_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.add(simulate(1013, steps=1))
    assert report.exit_status == 0
    report.add(Outcome(17, report.tally, "", 0.1, "lost"))
    assert report.exit_status == 1
    assert command(report.failures[0], 500) == "make simulate SEEDS=1 FIRST=17"
    assert main(["--first", "1013", "--seeds", "2", "--steps", "5", "--processes", "1"]) == 0
    assert capsys.readouterr().out.startswith("2 seeds, ")


def test_waiting_for_nothing_is_noticed() -> None:
    with pytest.raises(NeverEnds):
        run_virtually(asyncio.Event().wait())


def test_a_day_passes_at_once() -> None:
    async def day() -> float:
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time()

    assert run_virtually(day()) == 86_400


@pytest.mark.parametrize("after", [False, True])
def test_a_disk_ends_its_process_before_or_after_a_step(after: bool) -> None:
    disk, taken = Disk(), []
    disk.crash_at(2, after=after)
    disk.durably(lambda: taken.append(1))
    with pytest.raises(Crashed) as crash:
        disk.durably(lambda: taken.append(2))
    assert crash.value.taken == after and taken == [1, 2][: 1 + after]
    with pytest.raises(Crashed):
        disk.durably(lambda: taken.append(3))
    assert len(taken) == 1 + after
