"""Run many worlds: python -m tests.simulator --first 1 --seeds 200."""

from __future__ import annotations

import argparse
import sys

from tests.simulator.campaign import STEPS, Outcome, command, run, simulate


def main(words: list[str] | None = None) -> int:
    """The exit status: 0 where every promise held."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--seeds", type=int, default=200, help="how many; 1 tells every step")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin none after so long")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of each world")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args(words)

    def told(outcome: Outcome) -> None:
        if outcome.problem:
            _say(f"\nseed {outcome.seed} failed:\n{outcome.problem}")
            _say(f"\nreplay it by: {command(outcome, given.steps)}\n")
        elif outcome.seed % 10 == 0:
            _say(f"seed {outcome.seed}: {outcome.seconds:.1f} s")

    if given.seeds == 1:
        outcome = simulate(given.first, given.steps, _say)
        _say(outcome.problem or f"every promise held; the hash of all that happened is {outcome.digest}")
        return 1 if outcome.problem else 0
    seeds = range(given.first, given.first + given.seeds)
    report = run(
        seeds,
        steps=given.steps,
        processes=given.processes,
        seconds=given.seconds,
        told=told,
    )
    _say(report.line())
    return report.exit_status


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
