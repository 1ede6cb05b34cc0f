"""What sealing and counting cost an ask: a provider's SDK used directly, against a device through Echolia.

Both ask the same model server (llmock), by turns, in one run; markdown tables of ratios. It answers at once,
which no real one does, and then as late as they do.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path

from probes import end, free_port, memory_mib, spawn, wait_port
from workload import median

from echolia.client import Device
from echolia.client.llm.answers import Finished, Words

SERVICES = Path(__file__).resolve().parent.parent / ".services"
SAID = "Tell me about herons, at some length. " * 8
MANY = "1000000"
REAL_MS = 300
SETTINGS = {
    "ECHOLIA_LLM_PER_MINUTE": MANY, "ECHOLIA_LLM_CONCURRENT": "0", "ECHOLIA_LLM_TOKENS_PER_DAY": "0",
    "ECHOLIA_LLM_MICRO_USD_PER_MONTH": "0", "ECHOLIA_ACCOUNT_PER_MINUTE": MANY,
}  # fmt: skip
MODELS = """[providers.llmock]
kind = "openai"
key_file = "key"
base_url = "http://127.0.0.1:{port}/v1"
connections = 2000
[models.m]
provider = "llmock"
model = "gpt-4o-mini"
"""


def table(heads, rows):
    """Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


@asynccontextmanager
async def served(folder, options=()):
    """A model server, with such options, and an Echolia that asks it: their ports and Echolia's process."""
    upstream, port = free_port(), free_port()
    (folder / "key").write_text("sk-bench\n")
    (folder / "models.toml").write_text(MODELS.format(port=upstream))
    here = [
        str(SERVICES / "llmock" / "bin" / "llmock"),
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        str(upstream),
        *options,
    ]
    serve = ["serve", "--port", str(port), "--data", str(folder / "data"), "--log-level", "error"]
    settings = {**SETTINGS, "ECHOLIA_MODELS": str(folder / "models.toml")}
    mock = spawn(here, folder, folder / "llmock.log")
    server = spawn(
        [sys.executable, "-m", "echolia", *serve], folder, folder / "echolia.log", {**os.environ, **settings}
    )
    try:
        await wait_port(upstream, mock)
        await wait_port(port, server)
        yield upstream, port, server
    finally:
        for process in (server, mock):
            end(process)


async def directly(client):
    """Seconds to the first words and to the end."""
    began, first = time.perf_counter(), 0.0
    stream = await client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": SAID}], max_tokens=4096, stream=True
    )
    async for chunk in stream:
        if not first and chunk.choices and chunk.choices[0].delta.content:
            first = time.perf_counter() - began
    return first, time.perf_counter() - began


async def sealed(device):
    """The same through Echolia."""
    began, first = time.perf_counter(), 0.0
    async for event in device.llm.stream(SAID, model="m", max_tokens=4096):
        if not first and isinstance(event, Words):
            first = time.perf_counter() - began
        assert isinstance(event, Words | Finished)
    return first, time.perf_counter() - began


async def at_once(ask, count, total):
    """Asks a second, `count` at a time, `total` in all."""
    left = iter(range(total))

    async def walk():
        for _ in left:
            await ask()

    began = time.perf_counter()
    await asyncio.gather(*(walk() for _ in range(count)))
    return total / (time.perf_counter() - began)


async def measure(arguments, latency_ms, rounds):
    """All figures, by turns so that the machine's weather falls on both."""
    from openai import AsyncOpenAI  # noqa: PLC0415  # takes a second

    folder = Path(tempfile.mkdtemp(prefix="echolia-asks-"))
    try:
        async with served(folder, ["--latency-ms", str(latency_ms)]) as (upstream, port, server):
            client = AsyncOpenAI(base_url=f"http://127.0.0.1:{upstream}/v1", api_key="sk", max_retries=0)
            device, _ = await Device.init(folder / "laptop", f"http://127.0.0.1:{port}")
            for ask in (lambda: directly(client), lambda: sealed(device)):
                for _ in range(10):
                    await ask()
            both = [(await directly(client), await sealed(device)) for _ in range(rounds)]
            first, whole = ([median([one[side][part] for one in both]) for side in (0, 1)] for part in (0, 1))
            rows = [told("first words, ms", *first), told("whole answer, ms", *whole)]
            idle = memory_mib([server])[0]
            many = [
                await at_once(ask, arguments.concurrent, arguments.total)
                for ask in (lambda: directly(client), lambda: sealed(device))
            ]
            rows.append(told(f"answers a second, {arguments.concurrent} at a time", *many, scale=1))
            after = memory_mib([server])[0]
            await device.aclose()
            await client.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\nA model server that takes {latency_ms} ms and a little before it begins:\n")
    print(table(["", "SDK directly", "through Echolia", "ratio"], rows))
    print(f"\nThe server's memory: {idle:.0f} MiB before, {after:.0f} MiB after so many at a time.")


def told(name, directly, sealed, scale=1000):
    """A row of the table."""
    return [name, f"{directly * scale:.2f}", f"{sealed * scale:.2f}", f"{sealed / directly:.2f}"]


async def measure_all(arguments):
    """With a model server that answers at once, and with one as slow to begin as real ones are."""
    await measure(arguments, 0, arguments.rounds)
    await measure(arguments, REAL_MS, max(10, arguments.rounds // 4))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--concurrent", type=int, default=64)
    parser.add_argument("--total", type=int, default=640)
    asyncio.run(measure_all(parser.parse_args()))
