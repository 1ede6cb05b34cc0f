"""Run the workload on each peer, interleaved; print medians (min–max) and ratios as markdown tables."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from probes import Weather
from workload import HOME, median, spread

MODULES = ["ceiling", "echolia"]
BASES = ["ceiling (raw ASGI, msgpack)", "ceiling (msgpack, 8 commit threads)"]
TABLES = {
    "W1 bulk push, W2 bulk pull, W5 storage and memory": {
        "W1 push rec/s": "w1_rps",
        "server CPU µs/rec": "w1_cpu_us_per_rec",
        "W2 pull rec/s": "w2_rps",
        "disk B/rec": "disk_per_rec",
        "allocated B/rec": "disk_alloc_per_rec",
        "lost": "w2_lost",
    },
    "Server memory, MiB (PSS)": {
        "idle": "pss_idle_mib",
        "after W1": "pss_mib",
        "after W2": "pss_w2_mib",
        "an open user": "open_user_mib",
    },
    "W3 one edit, ms": {
        "push p50": "w3_push_p50",
        "push p99": "w3_push_p99",
        "pull p50": "w3_pull_p50",
        "pull p99": "w3_pull_p99",
        "wrong deltas": "w3_wrong_delta",
    },
    "W4 200 users × 20 pushes × 5 records, 16 connections": {
        "pushes/s": "w4_pps",
        "p50 ms": "w4_p50",
        "p99 ms": "w4_p99",
        "pushes/s after each user's first": "w4_later_pps",
        "p99 ms of those": "w4_later_p99",
        "CPU µs/push": "w4_cpu_us_per_push",
        "failed attempts": "w4_errors",
        "acknowledged": "w4_n",
    },
    "The machine during each run": {
        "fdatasync/s before and after": "fdatasync_per_s",
        "cores used by other processes": "other_cores",
    },
}
# name, key, and whether more is better
RATIOS = [
    ("W1", "w1_rps", 1),
    ("W2", "w2_rps", 1),
    ("W3 push", "w3_push_p50", -1),
    ("W3 pull", "w3_pull_p50", -1),
    ("W4", "w4_pps", 1),
    ("W4 p99", "w4_p99", -1),
    ("W4 after the first", "w4_later_pps", 1),
    ("its p99", "w4_later_p99", -1),
]


def classes():
    """Every peer by its name."""
    return {c.name: c for m in MODULES for c in importlib.import_module(f"peer_{m}").PEERS}


async def once(cls, args, say):
    """One run of one peer in a folder of its own; the servers are ended whatever happens."""
    peer, d = cls(), Path(tempfile.mkdtemp(prefix="run-", dir=args.data))
    weather, out = Weather(args.data), {}
    try:
        await peer.start(d)
        out = await peer.run(args.n, args.edits, args.users, args.pushes, args.conns, say)
    except Exception:
        say((d / "server.log").read_text(errors="replace")[-1500:])
        raise
    finally:
        peer.stop()
        out |= weather.report()
        shutil.rmtree(d, ignore_errors=True)
    return out


def table(columns, results):
    """One markdown table: a row a peer, the median of its runs and their spread."""
    print("| peer | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
    for name, done in results.items():
        print(
            f"| {name} | " + " | ".join(spread([r.get(key) for r in done]) for key in columns.values()) + " |"
        )


def ratios(results, base):
    """How each peer compares with `base` in the same round."""
    print(f"\n### Ratios to {base} in the same round, medians (above 1: better than it)\n")
    print("| peer | " + " | ".join(r for r, _, _ in RATIOS) + " |\n|" + "---|" * (len(RATIOS) + 1))
    for name, done in results.items():
        cells = []
        for _, key, sign in RATIOS:
            rounds = zip(done, results[base], strict=False)
            pairs = [(r.get(key), b.get(key)) for r, b in rounds if r.get(key) and b.get(key)]
            cells.append(f"{median([(x / y) ** sign for x, y in pairs]):.2f}" if pairs else "–")
        print(f"| {name} | " + " | ".join(cells) + " |")


def report(results, known):
    """All tables."""
    for title, columns in TABLES.items():
        print(f"\n### {title}\n")
        table(columns, results)
    for base in BASES:
        if base in results:
            ratios(results, base)
    print("\n### Durability of an acknowledged write\n")
    for name in results:
        print(f"- {name}: {known[name].durable}")


def arguments():
    """The command's words."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--peers", default="", help="comma-separated substrings; default all")
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--n", type=int, default=10_000)
    p.add_argument("--edits", type=int, default=300)
    p.add_argument("--users", type=int, default=200)
    p.add_argument("--pushes", type=int, default=20)
    p.add_argument("--conns", type=int, default=16)
    p.add_argument("--data", type=Path, default=HOME, help="folder on the disk to measure")
    p.add_argument("--json", type=Path, help="also write every run here")
    p.add_argument(
        "--quiet", type=float, default=0, help="wait up to so many seconds for an idle machine first"
    )
    p.add_argument("--report", type=Path, help="only print the tables of this --json file")
    return p.parse_args()


def measured(cls, args, turn):
    """One run, or why it failed: a peer that fails must not end the round."""

    def say(text):
        print(f"[{turn}] {cls.name}: {text}", file=sys.stderr, flush=True)

    Weather.wait_quiet(args.quiet)
    try:
        return asyncio.run(once(cls, args, say))
    except Exception as error:  # noqa: BLE001 — whatever it was, it is said and the next peer runs
        say(f"FAILED {type(error).__name__}: {error}")
        return {"failed": str(error)[:300]}


def main():
    """Measure and print."""
    for sign in (signal.SIGTERM, signal.SIGINT):  # so that the servers are ended either way
        signal.signal(sign, signal.default_int_handler)
    args, known = arguments(), classes()
    if args.report:
        return report(json.loads(args.report.read_text()), known)
    args.data = args.data.resolve()
    args.data.mkdir(parents=True, exist_ok=True)
    wanted = [w for w in args.peers.split(",") if w]
    chosen = [c for name, c in known.items() if not wanted or any(w in name for w in wanted)]
    results = {c.name: [] for c in chosen}
    for turn in range(1, args.repeat + 1):
        for cls in random.sample(chosen, len(chosen)):  # a new order each round, so drift hits all alike
            results[cls.name].append(measured(cls, args, turn))
            time.sleep(0.2)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    report(results, known)
    return None


if __name__ == "__main__":
    try:
        import uvloop

        uvloop.install()
    except ImportError:
        pass
    main()
