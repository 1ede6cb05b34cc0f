"""What hundreds of slow answers on one worker do to everybody else: stalls, memory; a markdown table.

A model server (llmock) says a word each half second to each of `--streams` readers, all through one
Echolia process; meanwhile somebody else asks it for a small thing fifty times a second. Fails above the
promised stall.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from asks import served, table
from figures import percentile
from probes import memory_mib

from echolia.client import Device
from echolia.client.llm.answers import Finished

PROMISED_STALL_MS = 250
BETWEEN_WORDS_MS = 500
PER_DEVICE = 100  # connections that one device opens at most
EVERY_S = 0.02
IDLE_S = 10


async def read_all(port, streams, words, folder):
    """Read so many answers at once, by several devices; prints how many came to their end."""
    said = " ".join(f"word{n}" for n in range(words))
    devices = []
    for n in range(-(-streams // PER_DEVICE)):
        device, _ = await Device.init(folder / f"reader{n}", f"http://127.0.0.1:{port}")
        await device.llm.quota()
        devices.append(device)
    print("ready", flush=True)
    sys.stdin.readline()

    async def read(device):
        last = None
        async for event in device.llm.stream(said, model="m", max_tokens=4096):
            last = event
        return isinstance(last, Finished)

    ended = await asyncio.gather(*(read(devices[n // PER_DEVICE]) for n in range(streams)))
    print(json.dumps({"whole": sum(ended)}), flush=True)
    for device in devices:
        await device.aclose()


async def probe(device, until):
    """Milliseconds of each small question until then."""
    found = []
    while not until():
        began = time.perf_counter()
        await device.llm.models()
        found.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(EVERY_S)
    return found


async def most_memory(server):
    """The most MiB that it takes until this is cancelled."""
    most = 0.0
    while True:
        most = max(most, memory_mib([server])[0])
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            return most


async def measure(arguments):
    """Small questions alone, then beside all the streams."""
    folder = Path(tempfile.mkdtemp(prefix="echolia-slow-"))
    try:
        delay = ["--stream-chunk-delay-ms", str(BETWEEN_WORDS_MS), "--response-style", "echo"]
        async with served(folder, delay) as (_, port, server):
            device, _ = await Device.init(folder / "asker", f"http://127.0.0.1:{port}")
            await device.llm.models()
            script = [sys.executable, __file__, "--read", str(port), "--home", str(folder)]
            script += ["--streams", str(arguments.streams), "--words", str(arguments.words)]
            readers = await asyncio.create_subprocess_exec(
                *script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
            assert (await readers.stdout.readline()).strip() == b"ready"
            stop = time.monotonic() + IDLE_S
            alone = await probe(device, lambda: time.monotonic() > stop)
            before = memory_mib([server])[0]
            readers.stdin.write(b"go\n")
            ending = asyncio.create_task(readers.stdout.readline())
            taking = asyncio.create_task(most_memory(server))
            beside = await probe(device, ending.done)
            taking.cancel()
            most = await taking
            whole = json.loads(await ending)["whole"]
            await readers.wait()
            await device.aclose()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = [
        [name, *(f"{percentile(found, share):.1f}" for share in (0.5, 0.99)), f"{max(found):.0f}"]
        for name, found in (("alone", alone), (f"beside {arguments.streams} answers", beside))
    ]
    print(table(["a small question, ms", "median", "p99", "most"], rows))
    each = (most - before) * 1024 / arguments.streams
    print(f"\n{whole} of {arguments.streams} answers came whole; {each:.0f} KiB of memory each.")
    if whole < arguments.streams or max(beside) > PROMISED_STALL_MS:
        sys.exit(f"a stall of more than {PROMISED_STALL_MS} ms, or an answer that broke off")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--words", type=int, default=40)
    parser.add_argument("--read", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    told = parser.parse_args()
    asyncio.run(read_all(told.read, told.streams, told.words, told.home) if told.read else measure(told))
