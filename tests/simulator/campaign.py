"""Many worlds, one seed each, on two processors; and what they came to.

report = run(range(1, 201))
sys.exit(report.exit_status)
"""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from tests.simulator import oracles
from tests.simulator.virtual_time import run_virtually
from tests.simulator.world import World

STEPS: Final = 500
_MEMORY: Final = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one seed came to: `problem` is "" where every promise held."""

    seed: int
    tally: Counter[str]
    digest: str
    seconds: float
    problem: str = ""


@dataclass(slots=True)
class Report:
    """What many seeds came to."""

    seconds: float = 0.0
    seeds: int = 0
    tally: Counter[str] = field(default_factory=Counter)
    failures: list[Outcome] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """0 where every promise held in every world."""
        return 1 if self.failures else 0

    @property
    def steps(self) -> int:
        """Edits, syncs, exchanges and faults."""
        faults = sum(self.faults().values())
        return faults + sum(self.tally[what] for what in ("edits", "syncs", "exchanges"))

    def faults(self) -> dict[str, int]:
        """How often each fault was done."""
        marked = {name: n for name, n in self.tally.items() if name.startswith("fault: ")}
        return {name.removeprefix("fault: "): n for name, n in sorted(marked.items())}

    def add(self, outcome: Outcome) -> None:
        """One more seed."""
        self.seeds += 1
        self.tally += outcome.tally
        if outcome.problem:
            self.failures.append(outcome)

    def line(self) -> str:
        """The figures."""
        kinds = ", ".join(f"{name} {n}" for name, n in self.faults().items())
        parts = ", ".join(f"{self.tally[what]:,} {what}" for what in ("edits", "syncs", "exchanges"))
        return (
            f"{self.seeds} seeds, {self.steps:,} steps ({parts}, {sum(self.faults().values()):,} faults) in "
            f"{self.seconds:.0f} s: {self.steps / max(self.seconds, 0.001):,.0f} steps/s; "
            f"{len(self.failures)} failures; faults: {kinds or 'none'}"
        )


def run(
    seeds: Iterable[int],
    *,
    steps: int = STEPS,
    processes: int = 2,
    seconds: float = float("inf"),
    stop_early: bool = False,
    told: Callable[[Outcome], None] = lambda outcome: None,
) -> Report:
    """Run these seeds, until `seconds` have passed; `told` hears of each as it ends.

    `stop_early` ends with the first failure.
    """
    report, start = Report(), time.monotonic()
    with _folder() as folder:
        for outcome in _outcomes(seeds, partial(simulate, steps=steps, inside=folder), processes):
            report.add(outcome)
            told(outcome)
            if (stop_early and outcome.problem) or time.monotonic() - start > seconds:
                break
    report.seconds = time.monotonic() - start
    return report


def _outcomes(seeds: Iterable[int], work: Callable[[int], Outcome], processes: int) -> Iterator[Outcome]:
    if processes <= 1:
        yield from map(work, seeds)
        return
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield from pool.imap_unordered(work, seeds)


def simulate(
    seed: int,
    steps: int = STEPS,
    say: Callable[[str], None] | None = None,
    inside: Path | None = None,
) -> Outcome:
    """One world from its beginning to its end; its files are in a folder of memory, or `inside` another."""
    start, problem = time.perf_counter(), ""
    with _folder(inside) as folder, _silence():
        world: list[World] = []
        try:
            run_virtually(_live(seed, folder, steps, say, world))
        except Exception:  # noqa: BLE001  # whatever it was, the seed is told with it
            problem = traceback.format_exc()
    [lived] = world
    if problem:
        problem = f"{problem}\nlast of all:\n" + "\n".join(lived.trace.last)
    return Outcome(seed, lived.tally, lived.trace.digest, time.perf_counter() - start, problem)


async def _live(
    seed: int, folder: Path, steps: int, say: Callable[[str], None] | None, made: list[World]
) -> None:
    world = World(seed, folder, say)
    made.append(world)
    try:
        await world.run(steps)
        await oracles.check(world)
    finally:
        await world.end()


@contextmanager
def _folder(inside: Path | None = None) -> Iterator[Path]:
    """A folder in memory, if the machine has such, or inside another."""
    where = inside or (_MEMORY if _MEMORY.is_dir() else None)
    folder = Path(tempfile.mkdtemp(prefix="echolia-world-", dir=where))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _silence() -> Iterator[None]:
    """No log lines: a world starts its server many times."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)


def command(outcome: Outcome, steps: int) -> str:
    """What replays a seed, telling each step."""
    other = f" ARGS='--steps {steps}'" if steps != STEPS else ""
    return f"make simulate SEEDS=1 FIRST={outcome.seed}{other}"
