"""Break one rule at a time in a copy of the repository, and see that the tests notice: `make mutants`."""

from __future__ import annotations

import argparse
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tests.mutants.mutant import Mutant
from tests.mutants.rules import ALL

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent
_COPIED: Final = ("echolia", "tests", "bench", "migrations", "spec", "pyproject.toml")
_MADE: Final = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis", "node_modules")
_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (\S+?)(?:\[.*)?(?: - .*)?$", re.MULTILINE)
# What pytest ends by: all passed, or some failed. Everything else says nothing about a rule.
_PASSED, _SOME_FAILED = 0, 1
_OVERTIME: Final = -1


class Run(NamedTuple):
    """How a run of tests ended: its exit code, what it printed, and how long it took."""

    code: int
    output: str
    seconds: float


class Finding(NamedTuple):
    """What became of a mutant; `caught_by` is the first test that failed, or nothing."""

    mutant: Mutant
    caught_by: str
    verdict: str
    seconds: float


def copied(folder: Path) -> Path:
    """A copy of what the tests need, in which rules can be broken."""
    tree = folder / "echolia-copy"
    tree.mkdir(parents=True)
    for name in _COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=_MADE)
        else:
            shutil.copy(source, tree / name)
    if (REPOSITORY / ".services").is_dir():
        (tree / ".services").symlink_to(REPOSITORY / ".services")
    return tree


def run_tests(tree: Path, tests: Sequence[str], limit_s: float, *words: str) -> Run:
    """Run these tests on the copy; no bytecode is kept, so that what runs is what the files say."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("ECHOLIA_", "PYTEST"))},
        "PYTHONPATH": str(tree),
        # Programs of `make services` are not copied, and a test that does not find one says nothing.
        "PATH": f"{REPOSITORY / '.services' / 'node_modules' / '.bin'}:{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "--tb=no",
        *words,
        *tests,
    ]
    started = time.perf_counter()
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        return Run(_OVERTIME, "", limit_s)
    return Run(done.returncode, done.stdout + done.stderr, time.perf_counter() - started)


@contextmanager
def broken(tree: Path, mutant: Mutant) -> Iterator[None]:
    """The copy with this rule broken."""
    file = tree / mutant.file
    before = file.read_text(encoding="utf-8")
    file.write_text(mutant.applied(tree), encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(before, encoding="utf-8")


def judged(tree: Path, mutant: Mutant, limit_s: float) -> Finding:
    """Break the rule, run its tests."""
    try:
        with broken(tree, mutant):
            run = run_tests(tree, mutant.tests, limit_s)
    except (ValueError, OSError) as error:
        return Finding(mutant, "", f"does not apply: {error}", 0.0)
    if run.code == _SOME_FAILED:
        failed = _FAILED.search(run.output)
        return Finding(mutant, failed.group(1) if failed else "a test", "caught", run.seconds)
    verdicts = {_PASSED: "SURVIVED", _OVERTIME: "ran out of time"}
    verdict = verdicts.get(run.code, f"no test ran: {run.output[-300:]}")
    return Finding(mutant, "", verdict, run.seconds)


def hunt(mutants: Iterable[Mutant], jobs: int, limit_s: float) -> Iterator[Finding]:
    """Judge all, as many at a time as there are copies; in the order given."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        trees: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(jobs):
            trees.put(copied(Path(name) / str(number)))

        def judge(mutant: Mutant) -> Finding:
            tree = trees.get()
            try:
                return judged(tree, mutant, limit_s)
            finally:
                trees.put(tree)

        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(judge, mutants)


def sound(mutants: Sequence[Mutant], jobs: int, limit_s: float) -> Run:
    """The same tests with nothing broken: they have to pass, or their failing says nothing."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        return run_tests(copied(Path(name)), tests, limit_s, "-n", str(jobs), "--dist", "loadfile")


def main() -> int:
    """Print the table; 1 if a rule can be broken unnoticed."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="only mutants whose description has one of these words")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for each run of tests")
    words = parser.parse_args()
    mutants = [each for each in ALL if not words.words or any(word in each.breaks for word in words.words)]
    whole = sound(mutants, words.jobs, 3 * words.limit)
    if whole.code != _PASSED:
        print(whole.output[-3000:], "\nThe tests do not pass with nothing broken.", sep="", file=sys.stderr)
        return 1
    print("| rule that is broken | caught by | s |\n|---|---|---:|", flush=True)
    caught = 0
    for finding in hunt(mutants, words.jobs, words.limit):
        caught += finding.verdict == "caught"
        shown = finding.caught_by or finding.verdict
        print(f"| {finding.mutant.breaks} | {shown} | {finding.seconds:.1f} |", flush=True)
    print(f"\n{caught} of {len(mutants)} caught")
    return 0 if caught == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
