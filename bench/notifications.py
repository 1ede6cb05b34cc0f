"""What a store's notification costs through the endpoint, against verifying its signatures alone; memory.

    .venv/bin/python -m bench.notifications                          # 2,000 notifications
    .venv/bin/python -m bench.notifications --notifications 100000   # and whether memory stays flat

The fake App Store signs renewals of so many subscriptions; a server of its own takes them, 16 at a time.
Apple's own library verifies the same signatures, nested ones too, on one thread, called as its documents say;
both have judged the chain of certificates before they are timed. Prints a table of medians; removes what it
made.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import aiohttp
from appstoreserverlibrary.models.Environment import Environment
from appstoreserverlibrary.signed_data_verifier import SignedDataVerifier

from bench.probes import end, free_port, memory_mib, spawn, wait_port
from tests.support.app_store import AppleWorld, apple_world

AT_A_TIME = 16
EACH = 10  # notifications of a subscription
PART = 200
WARM = 50
ALONE = 100  # of each part: all of 100,000 would take the library a quarter of an hour
MANY = "1000000"


def renewals(world: AppleWorld, count: int) -> Iterator[str]:
    """So many signed renewals, each subscription's one after the other."""
    store, sold = world.store, None
    for number in range(count):
        if number % EACH == 0:
            sold = store.sell("echolia.plus.monthly")
        assert sold is not None
        sold.buy(sold.last["expiresDate"])
        yield store.notify("DID_RENEW", about=sold)
        store.notifications.clear()
        store.subscriptions.clear()


def library_of(world: AppleWorld) -> SignedDataVerifier:
    """Apple's verifier, as their documents make one for production."""
    app = world.store.app
    roots = [world.authority.root_der]
    return SignedDataVerifier(roots, True, Environment.PRODUCTION, app.bundle_id, app.app_apple_id)


def alone(library: SignedDataVerifier, signed: Sequence[str]) -> float:
    """How many a second are verified by Apple's library, each with what is nested in it."""
    begun = time.perf_counter()
    for one in signed:
        data = library.verify_and_decode_notification(one).data
        assert data is not None
        assert data.signedTransactionInfo is not None
        assert data.signedRenewalInfo is not None
        library.verify_and_decode_signed_transaction(data.signedTransactionInfo)
        library.verify_and_decode_renewal_info(data.signedRenewalInfo)
    return len(signed) / (time.perf_counter() - begun)


async def through(client: aiohttp.ClientSession, url: str, signed: Sequence[str]) -> float:
    """How many a second the endpoint takes."""
    left = iter(signed)

    async def deliver() -> None:
        for one in left:
            async with client.post(url, json={"signedPayload": one}) as answer:
                assert answer.status == 204, answer.status

    begun = time.perf_counter()
    await asyncio.gather(*(deliver() for _ in range(AT_A_TIME)))
    return len(signed) / (time.perf_counter() - begun)


def settings(folder: Path, world: AppleWorld) -> dict[str, str]:
    """What makes a server take this store's word."""
    access = world.access()
    (folder / "key.p8").write_text(access.private_key)
    (folder / "root.cer").write_bytes(world.authority.root_der)
    told = {
        "bundle_id": access.bundle_id, "app_apple_id": access.app_apple_id, "issuer_id": access.issuer_id,
        "key_id": access.key_id, "key_file": "key.p8", "root_files": ["root.cer"],
    }  # fmt: skip
    lines = [f"{name} = {json.dumps(value)}" for name, value in told.items()]
    urls = f'[apple.urls]\nproduction = "{access.urls["production"]}"\n'
    (folder / "stores.toml").write_text("[apple]\n" + "\n".join(lines) + "\n" + urls)
    named = {"ECHOLIA_STORES": str(folder / "stores.toml"), "ECHOLIA_WEBHOOK_PER_MINUTE": MANY}
    return {**os.environ, **named}


async def measure(count: int, folder: Path) -> None:
    """All figures; by turns, so that the machine's weather falls on both."""
    with apple_world() as world:
        port = free_port()
        command = [sys.executable, "-m", "echolia", "serve", "--port", str(port), "--log-level", "error"]
        server = spawn(
            [*command, "--data", str(folder / "data")], folder, folder / "server.log", settings(folder, world)
        )
        try:
            await wait_port(port, server)
            url = f"http://127.0.0.1:{port}/payments/webhook/apple"
            rates: list[tuple[float, float]] = []
            memory: list[float] = []
            async with aiohttp.ClientSession() as client:
                library, warm = library_of(world), list(renewals(world, WARM))
                alone(library, warm)
                await through(client, url, warm)
                for _ in range(max(1, count // PART)):
                    signed = list(renewals(world, min(PART, count)))
                    rates.append((alone(library, signed[:ALONE]), await through(client, url, signed)))
                    memory.append(memory_mib([server])[0])
                    print(f"{len(memory) * len(signed):,}: {memory[-1]:.0f} MiB", file=sys.stderr)
        finally:
            end(server)
    by_itself, taken = (median(part) for part in zip(*rates, strict=True))
    print("| notifications a second | |\n|---|---:|")
    print(f"| their signatures alone, by Apple's library on one thread | {by_itself:.0f} |")
    print(f"| through the endpoint, {AT_A_TIME} at a time | {taken:.0f} (× {taken / by_itself:.2f}) |")
    shown = ", ".join(f"{mib:.0f}" for mib in memory[:: max(1, len(memory) // 10)])
    print(f"| the server's memory, MiB, over {len(memory) * min(PART, count):,} | {shown} |")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--notifications", type=int, default=2000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="echolia-notifications-") as folder:
        asyncio.run(measure(given.notifications, Path(folder)))


if __name__ == "__main__":
    main()
