"""Several workers against one: pushes a second of many accounts over many connections, in one run.

    python -m bench.workers --workers 4 --accounts 200 --connections 16 --seconds 4

Ratios travel, absolutes do not: clients and workers share the processors.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import aiohttp

from echolia.core.push import PUSH_TYPE, write_push
from tests.support.accounts import Account
from tests.support.process import ServerProcess
from tests.support.runs import Writer


async def registered(url, client, number):
    """An account's first device: its token's header, and its writer."""
    account = Account(f"person {number}")
    async with client.post(f"{url}/auth/register", json=account.registration()) as answer:
        token = (await answer.json())["tokens"]["access"]
    writer = Writer(account.id)
    first = account.first
    writer.secret, writer.public, writer.device = bytes(first.signing), first.sign, first.id
    return {"Authorization": f"Bearer {token}", "Content-Type": PUSH_TYPE}, writer


async def rate(url, accounts, connections, seconds):
    """How many pushes of one change of 1 KiB a second are acknowledged, and the slowest hundredth (ms)."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as client:
        people = [await registered(url, client, n) for n in range(accounts)]
        until, took = time.perf_counter() + seconds, []

        async def push_on(mine):
            while time.perf_counter() < until:
                for headers, writer in mine:
                    writer.write(1, 1024)
                    body = write_push([writer.run(first=len(writer.changes))])
                    begun = time.perf_counter()
                    async with client.post(f"{url}/sync/push", data=body, headers=headers) as answer:
                        assert answer.status == 200, await answer.text()
                        await answer.read()
                    took.append(time.perf_counter() - begun)

        shares = [people[n::connections] for n in range(connections)]
        begun = time.perf_counter()
        await asyncio.gather(*(push_on(share) for share in shares))
        spent = time.perf_counter() - begun
    return len(took) / spent, sorted(took)[int(len(took) * 0.99)] * 1000


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=4)
    asked = parser.parse_args()
    print("| workers | pushes a second | against one | p99 ms |\n|---|---|---|---|")
    one = 0.0
    for workers in (1, asked.workers):
        with (
            tempfile.TemporaryDirectory() as folder,
            ServerProcess(Path(folder) / "data", workers=str(workers)) as server,
        ):
            found, slow = asyncio.run(rate(server.url, asked.accounts, asked.connections, asked.seconds))
        one = one or found
        print(f"| {workers} | {found:,.0f} | {found / one:.2f} | {slow:.1f} |")


if __name__ == "__main__":
    main()
