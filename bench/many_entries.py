"""Many small entries in one account: a new device's first screen, a sync with nothing new, memory.

    .venv/bin/python bench/many_entries.py                     # 10,000, 30,000 and 100,000 entries
    .venv/bin/python bench/many_entries.py --entries 1000 3000

Prints two tables: what was measured, and how it grows from one size to the next divided by how the account
grows: 1 is linear, below is better, above is worse. Each step is a process of its own. Seconds of processor
are the device's alone, so they say something on a busy machine too; memory is what the step takes at its peak
beyond an open device.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import aiohttp  # noqa: F401 — loaded before memory is looked at: its own size is not the entries'
from device_memory import enrol, peak_mib
from peer_echolia import UNLIMITED
from probes import disk, end, free_port, spawn, wait_port

from echolia.client import Device

SCREEN = 50
BATCH = 500
QUIET_SYNCS = 20
# Below these, figures are noise: they count as equal.
LEAST = (0.01, 0.01, 1.0)
# Both halves ran beside the same neighbours, so this tells more of growth than two runs do.
HALVES = "µs of processor an entry of the bootstrap: first half, second half, their ratio"


def entry(number):
    """A small entry: a title, a sentence and a tag."""
    return {
        "title": f"Day {number}",
        "body": f"It rained on day {number}, the heron stood by the weir.",
        "tags": ["rain"],
    }


class Stopwatch:
    """Seconds by the clock and of this process's processors, and memory at its peak, since it was made."""

    def __init__(self):
        self.began, self.used, self.mib = time.perf_counter(), time.process_time(), peak_mib()

    def read(self):
        """Seconds, seconds of processor, MiB."""
        return time.perf_counter() - self.began, time.process_time() - self.used, peak_mib() - self.mib


async def fill(home, entries):
    """Write all entries on one device and push them."""
    watch = Stopwatch()
    async with await Device.open(home) as device:
        for start in range(0, entries, BATCH):
            await device.collection("entries").create_many(
                entry(number) for number in range(start, min(entries, start + BATCH))
            )
        found = {"writing": watch.read()}
        watch = Stopwatch()
        await device.sync()
        return {**found, "sending": watch.read()}


async def bootstrap(home, entries):
    """The first sync of a new device: when there is a screen of entries, of the newest, and of all."""
    found = {}
    async with await Device.open(home) as device:
        watch, news = Stopwatch(), asyncio.Event()
        device.on_change(lambda _: news.set())
        marks = [(0, time.process_time())]
        syncing = asyncio.create_task(
            device.sync(
                lambda at: marks.append((at.done, time.process_time())) if at.phase == "pull" else None
            )
        )
        while not syncing.done():
            waiting = asyncio.create_task(news.wait())
            await asyncio.wait({waiting, syncing}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            news.clear()
            found = {**look(await screen(device), entries, watch), **found}
        await syncing
        assert await device.collection("entries").count() == entries
        found = {**look(await screen(device), entries, watch), **found, "whole bootstrap": watch.read()}
        return {**found, HALVES: halves(marks)}


def halves(marks):
    """Microseconds of processor an entry in each half of a bootstrap; marks: (entries done, seconds)."""
    first, last = marks[0], marks[-1]
    middle = next(mark for mark in marks if mark[0] >= last[0] / 2)
    parts = ((first, last), (first, last)) if middle == last else ((first, middle), (middle, last))
    early, late = (1e6 * (b[1] - a[1]) / max(1, b[0] - a[0]) for a, b in parts)
    return early, late, late / early


async def screen(device):
    """The titles on the first screen."""
    return [record.title for record in await device.collection("entries").list(limit=SCREEN)]


def look(titles, entries, watch):
    """What a screen of these titles shows for the first time, and when."""
    shown = {"first screen of any": watch.read()} if len(titles) == SCREEN else {}
    newest = {f"Day {number}" for number in range(entries - SCREEN, entries)}
    return {**shown, **({"first screen of the newest": watch.read()} if set(titles) == newest else {})}


async def quiet(home):
    """Open the home, show a screen, and sync with nothing new; the median of several."""
    watch = Stopwatch()
    async with await Device.open(home) as device:
        await screen(device)
        found = {"open and list": watch.read()}
        await device.sync()
        each = []
        for _ in range(QUIET_SYNCS):
            watch = Stopwatch()
            await device.sync()
            each.append(watch.read())
        medians = [statistics.median(column) for column in zip(*each, strict=True)]
        watch = Stopwatch()
        await device.collection("entries").search("weir heron 77", limit=20)
        return {**found, "sync with nothing new": medians, "search": watch.read()}


async def one_more(home, other):
    """One new entry, from one device to the other."""
    async with await Device.open(home) as device:
        watch = Stopwatch()
        await device.collection("entries").create(entry(-1))
        await device.sync()
        found = {"one entry out": watch.read()}
    async with await Device.open(other) as device:
        watch = Stopwatch()
        await device.sync()
        return {**found, "one entry in": watch.read()}


STEPS = {"fill": fill, "bootstrap": bootstrap, "quiet": quiet, "one_more": one_more}


def child(step, *words):
    """One step in a process of its own; what it found."""
    argv = [sys.executable, __file__, "step", step, *map(str, words)]
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


async def measured(data, entries):
    """All figures for so many entries, by name."""
    d, port = Path(tempfile.mkdtemp(dir=data)), free_port()
    laptop, phone = d / "laptop", d / "phone"
    argv = [Path(sys.executable).parent / "echolia", "serve", "--port", port, "--data", d / "server"]
    server = spawn(argv, d, d / "server.log", UNLIMITED)
    try:
        await wait_port(port, server)
        await enrol(f"http://127.0.0.1:{port}", laptop, phone)
        found = child("fill", laptop, entries) | child("bootstrap", phone, entries)
        found |= child("quiet", phone) | child("one_more", laptop, phone)
        found["MiB on disk: server, sender, new device"] = [
            disk(path)[0] / 2**20 for path in (d / "server", laptop, phone)
        ]
        return found
    finally:
        end(server)
        shutil.rmtree(d, ignore_errors=True)


def table(columns, found, form):
    """Print a markdown table; `found` holds for each column figures by name."""
    print(f"| s, s of processor, MiB | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    for name in found[0]:
        cells = (" ".join(form.format(figure) for figure in each[name]) for each in found)
        print(f"| {name} | {' | '.join(cells)} |")
    print(flush=True)


def grown(before, after, times):
    """How much each figure grew, divided by how the account did."""
    return {
        name: [
            max(b, least) / max(a, least) / times
            for a, b, least in zip(figures, after[name], LEAST, strict=True)
        ]
        for name, figures in before.items()
        if name != HALVES
    }


def main():
    """Measure all sizes, or do one step for the process that measures."""
    if sys.argv[1:2] == ["step"]:
        _, _, step, *words = sys.argv
        arguments = [int(word) if word.isdigit() else Path(word) for word in words]
        print(json.dumps(asyncio.run(STEPS[step](*arguments))))
        return
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()))
    p.add_argument("--entries", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    words = p.parse_args()
    found = [asyncio.run(measured(words.data, entries)) for entries in words.entries]
    print(f"load of the machine: {os.getloadavg()[2]:.1f}\n")
    table([f"{entries:,} entries" for entries in words.entries], found, "{:.3f}")
    steps = zip(pairwise(words.entries), pairwise(found), strict=True)
    table(
        [f"{a:,} → {b:,}" for a, b in pairwise(words.entries)],
        [grown(before, after, b / a) for (a, b), (before, after) in steps],
        "{:.2f}",
    )


if __name__ == "__main__":
    main()
