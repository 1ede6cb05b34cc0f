"""How much memory and time a device takes to send and receive many entries; a markdown table."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp  # noqa: F401 — loaded before memory is looked at: its own size is not the entries'
from peer_echolia import UNLIMITED
from probes import end, free_port, spawn, wait_port

from echolia.client import Device

TEXT = "It rained again, and the heron stood by the weir as if nothing had happened. " * 12


def peak_mib():
    """The most memory this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def write(home, entries):
    """Write entries of about 1 KiB, some hundreds a transaction."""
    async with await Device.open(home) as device:
        for start in range(0, entries, 250):
            count = min(250, entries - start)
            await device.collection("entries").create_many(
                {"title": f"Day {start + k}", "body": TEXT, "tags": ["weather"]} for k in range(count)
            )


async def sync(home):
    """Sync, and say what it took beyond an open device that has synced nothing."""
    async with await Device.open(home) as device:
        before, began = peak_mib(), time.perf_counter()
        report = await device.sync()
        took = time.perf_counter() - began
        print(
            json.dumps(
                {
                    "s": took,
                    "base": before,
                    "mib": peak_mib() - before,
                    "moved": report.pushed + report.pulled,
                }
            )
        )


async def enrol(server, laptop, phone):
    """An account with two devices."""
    device, _ = await Device.init(laptop, server, kept="file")
    async with device, device.pair() as pairing, Device.join(phone, pairing.code, kept="file") as joining:
        digits = asyncio.create_task(joining.digits())
        await pairing.guest()
        confirming = asyncio.create_task(pairing.confirm(await digits))
        await (await joining.finish()).aclose()
        await confirming


def child(*words):
    """One step in a process of its own; what it printed."""
    argv = [sys.executable, __file__, *map(str, words)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, env=os.environ)
    return json.loads(done.stdout) if done.stdout else None


async def measured(data, entries):
    """The table's rows for so many entries."""
    d, port = Path(tempfile.mkdtemp(dir=data)), free_port()
    argv = [Path(sys.executable).parent / "echolia", "serve", "--port", port, "--data", d / "server"]
    server = spawn(argv, d, d / "server.log", UNLIMITED)
    try:
        await wait_port(port, server)
        await enrol(f"http://127.0.0.1:{port}", d / "laptop", d / "phone")
        began = time.perf_counter()
        child("write", d / "laptop", entries)
        wrote = time.perf_counter() - began
        for what, home in (("sends", d / "laptop"), ("receives", d / "phone")):
            found = child("sync", home)
            rate = found["moved"] / found["s"]
            memory = f"{found['base']:.0f} | {found['mib']:.1f}"
            print(f"| {what} {entries:,} | {found['s']:.1f} | {rate:,.0f} | {memory} |")
        print(f"| (writing {entries:,} locally) | {wrote:.1f} | {entries / wrote:,.0f} | | |", flush=True)
    finally:
        end(server)
        shutil.rmtree(d, ignore_errors=True)


def main():
    """Measure, or do one step for the process that measures."""
    steps = {"write": lambda home, n: write(Path(home), int(n)), "sync": lambda home: sync(Path(home))}
    if len(sys.argv) > 1 and sys.argv[1] in steps:
        return asyncio.run(steps[sys.argv[1]](*sys.argv[2:]))
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()))
    args = p.parse_args()
    print("| a device | s | entries/s | MiB before | MiB more at its peak |\n|---|---|---|---|---|")
    for entries in (1_000, 10_000, 30_000):
        asyncio.run(measured(args.data, entries))
    return None


if __name__ == "__main__":
    main()
