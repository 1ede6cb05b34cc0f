"""What HTTP and sealing cost an embedding: the engine called directly in its best layout, against the server.

By turns in one run, as ratios; needs `make embeddings`. With sentence-transformers installed, that too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import uvloop
from figures import percentile
from probes import end, free_port, memory_mib, spawn, wait_port
from workload import median

from echolia.client import Device
from echolia.core.ids import b64
from echolia.engines import minilm
from echolia.engines.choice import installed_engine
from echolia.engines.whole_texts import embed_texts
from echolia.sealed.asks import MEDIA_TYPE, bound
from echolia.sealed.frames import framed_request, unframed_final
from echolia.sealed.requests import seal

MANY = "1000000"
SETTINGS = {
    "ECHOLIA_EMBEDDINGS": "onnx", "ECHOLIA_EMBEDDINGS_PER_MINUTE": MANY, "ECHOLIA_EMBEDDINGS_CONCURRENT": "0",
    "ECHOLIA_EMBEDDINGS_TOKENS_PER_DAY": "0", "ECHOLIA_EMBEDDINGS_QUEUE": "100000",
    "ECHOLIA_EMBEDDINGS_SECONDS": "60",
}  # fmt: skip
WORDS = (
    "morning", "rain", "garden", "window", "coffee", "letter", "train", "river", "friend", "evening",
    "music", "bread", "winter", "doctor", "school", "mountain", "kitchen", "story", "ocean", "silence",
)  # fmt: skip
SHORT, ENTRY = 10, 120  # words; an entry is 133 tokens or so
KINDS = ((SHORT, "short"), (ENTRY, "entries"))
THREADS = 2


def texts_of(count, words):
    """So many texts, all different."""
    return [
        " ".join(WORDS[(n * 7 + at * at) % len(WORDS)] for at in range(words)) + f" {n}" for n in range(count)
    ]


def table(heads, rows):
    """Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [heads, ["---"] * len(heads), *rows])


def directly(engine, requests):
    """Texts a second of the engine called by two threads, a request each at a time."""
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as threads:
        done = sum(
            len(vectors) for vectors in threads.map(lambda texts: embed_texts(engine, texts), requests)
        )
    return done / (time.perf_counter() - began)


async def through(device, requests, parallel):
    """Texts a second through HTTP and seal, so many requests at a time."""
    left, done = iter(requests), 0
    began = time.perf_counter()

    async def walk():
        nonlocal done
        for texts in left:
            vectors = await device.embeddings.embed(texts)
            done += len(vectors)  # in one step: others count meanwhile

    await asyncio.gather(*(walk() for _ in range(parallel)))
    return done / (time.perf_counter() - began)


async def alone(device, port, requests, parallel):
    """Texts a second of the server: requests sealed before, answers opened after, as if elsewhere."""
    made = [await _sealed(device, texts) for texts in requests]
    left, answers = iter(made), []
    began = time.perf_counter()

    async def walk():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for sent, opener in left:
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            body = []
            while size := int(await reader.readline(), 16):
                body.append((await reader.readexactly(size + 2))[:-2])
            await reader.readline()
            answers.append((b"".join(body), opener))
        writer.close()

    await asyncio.gather(*(walk() for _ in range(parallel)))
    took = time.perf_counter() - began
    return sum(len(_opened(body, opener)["vectors"]) for body, opener in answers) / took


async def _sealed(device, texts):
    """A request's bytes, and what opens its answer."""
    asks = device.embeddings._making._sealed  # noqa: SLF001  # what it seals with, not its way to ask
    account, bearer = asks._account, await asks._session.authorization()  # noqa: SLF001
    path = "/embeddings/generate" if len(texts) == 1 else "/embeddings/batch"
    asked = {"text": texts[0]} if len(texts) == 1 else {"texts": texts}
    ask = {"identity": b64(minilm.IDENTITY.digest), **asked}
    key = await asks.keys.key()
    plain = framed_request(bound(asks.keys.now_ms(), path, account, ask))
    body, opener = seal(key.id, key.public, plain, os.urandom(32))
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: {bearer}\r\n"
        f"Content-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body, opener


def _opened(body, opener):
    for _ in opener.feed(body):
        pass
    final = unframed_final(opener.end())
    assert final["status"] == 200
    return final


@asynccontextmanager
async def served(folder):
    """A server that embeds by the real model, its port, and a device without one."""
    port = free_port()
    serve = ["serve", "--port", str(port), "--data", str(folder / "data"), "--log-level", "error"]
    server = spawn(
        [sys.executable, "-m", "echolia", *serve], folder, folder / "echolia.log", {**os.environ, **SETTINGS}
    )
    try:
        await wait_port(port, server)
        device, _ = await Device.init(folder / "laptop", f"http://127.0.0.1:{port}")
        device.embeddings.use(None)
        yield device, server, port
        await device.aclose()
    finally:
        end(server)


async def throughput(engine, device, port, arguments):
    """Each kind of request by turns: directly and through the server."""
    rows = []
    for words, name in KINDS[: arguments.kinds]:
        for batch in (1, 32, 128):
            for parallel in (8, 32):
                budget = arguments.texts if words == SHORT else arguments.texts // 6
                count = max(parallel, budget // batch)
                requests = [texts_of(batch, words) for _ in range(count)]
                rounds = [
                    (
                        await asyncio.to_thread(directly, engine, requests),
                        await through(device, requests, parallel),
                        await alone(device, port, requests, parallel),
                    )
                    for _ in range(arguments.rounds)
                ]
                medians = [f"{median(side):.0f}" for side in zip(*rounds, strict=True)]
                ratios = [f"{median([each[side] / each[0] for each in rounds]):.2f}" for side in (1, 2)]
                rows.append([name, str(batch), str(parallel), *medians, *ratios])
                print(" ".join(rows[-1]), file=sys.stderr)
    heads = ["texts", "a request", "at a time", "directly, /s", "through, /s", "server alone, /s"]
    return table([*heads, "through, ratio", "server alone, ratio"], rows)


async def latency(device, arguments):
    """A single short request, alone and while batches of 128 run beside it."""
    rows = []
    long = texts_of(128, ENTRY)

    async def singles():
        found = []
        for n in range(arguments.singles):
            began = time.perf_counter()
            await device.embeddings.embed([f"a short question {n}"])
            found.append((time.perf_counter() - began) * 1000)
        return found

    async def beside():
        while True:
            await device.embeddings.embed(long)

    for name in ("alone", "beside a batch of 128 entries"):
        other = asyncio.create_task(beside()) if name != "alone" else None
        found = await singles()
        if other is not None:
            other.cancel()
            await asyncio.gather(other, return_exceptions=True)
        rows.append([name, *(f"{percentile(found, share):.1f}" for share in (0.5, 0.95, 0.99))])
    return table(["a short request, ms", "p50", "p95", "p99"], rows)


def shapes(engine):
    """How many texts a second one thread embeds, by how many there are in a call."""
    rows = []
    for name, length in (("short, 12 tokens", 10), ("entries, 133 tokens", 131), ("full windows", 254)):
        windows = [[2000 + (n * 31 + at * 17) % 20000 for at in range(length)] for n in range(64)]
        rates = []
        for batch in (1, 2, 4, 8, 16, 32, 64):
            done, began = 0, time.perf_counter()
            while time.perf_counter() - began < 1.0:
                engine.embed(windows[:batch])
                done += batch
            rates.append(done / (time.perf_counter() - began))
        rows.append([name, *(f"{rate:.0f}" for rate in rates)])
    return table(["texts a second, one thread; in a call", *map(str, (1, 2, 4, 8, 16, 32, 64))], rows)


async def against_reference(engine, device, arguments):
    """The engine in its best layout, and the server, against sentence-transformers as one calls it."""
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415  # torch

    model = SentenceTransformer(str(minilm.folder()), device="cpu", local_files_only=True)

    def reference(requests):
        began = time.perf_counter()
        for texts in requests:
            model.encode(texts, show_progress_bar=False)
        return sum(map(len, requests)) / (time.perf_counter() - began)

    rows = []
    for words, name in KINDS[: arguments.kinds]:
        count = arguments.texts if words == SHORT else arguments.texts // 6
        for batch in (1, 32, count):
            texts = texts_of(count, words)
            requests = [texts[at : at + batch] for at in range(0, count, batch)]
            ours = [texts[at : at + min(batch, 32)] for at in range(0, count, min(batch, 32))]
            rounds = [
                (
                    await asyncio.to_thread(directly, engine, ours),
                    await through(device, ours, 8),
                    await asyncio.to_thread(reference, requests),
                )
                for _ in range(arguments.rounds)
            ]
            ratios = [f"{median([each[side] / each[2] for each in rounds]):.2f}" for side in (0, 1)]
            medians = (f"{median(side):.0f}" for side in zip(*rounds, strict=True))
            rows.append([name, str(batch), *medians, *ratios])
    heads = ["texts a second", "a call", "onnxruntime", "through", "sentence-transformers"]
    return table([*heads, "ratio", "through, ratio"], rows)


async def measure(arguments):
    """All tables."""
    engine = installed_engine()
    if engine is None:
        sys.exit("needs `make embeddings`")
    print(shapes(engine), flush=True)
    folder = Path(tempfile.mkdtemp(prefix="echolia-embeddings-"))
    try:
        async with served(folder) as (device, server, port):
            await through(device, [texts_of(32, SHORT)] * 8, 4)
            print("\n" + await latency(device, arguments), flush=True)
            print("\n" + await throughput(engine, device, port, arguments), flush=True)
            print(f"\nThe server's memory: {memory_mib([server])[0]:.0f} MiB.", flush=True)
            if find_spec("sentence_transformers"):
                print("\n" + await against_reference(engine, device, arguments), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=1024)
    parser.add_argument("--kinds", type=int, default=2, choices=(1, 2), help="1: short texts alone")
    parser.add_argument("--singles", type=int, default=200)
    # The device has the server's event loop: it is on the same two cores, where devices are elsewhere.
    uvloop.run(measure(parser.parse_args()))
