"""kill -9 of the server at random moments of a large push: nothing acknowledged is missing."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from echolia.client import Device, EcholiaError
from tests.support.devices import joined
from tests.support.process import ServerProcess

KILLS = int(os.environ.get("ECHOLIA_KILLS", "4"))
CHANGES = int(os.environ.get("ECHOLIA_KILL_CHANGES", "2000"))
# A push of 10,000 changes takes about this long here: a kill falls anywhere within it.
LONGEST_PUSH_S = CHANGES / 10_000

pytestmark = pytest.mark.slow


async def test_nothing_acknowledged_is_lost_and_the_device_finishes_by_itself(tmp_path: Path) -> None:
    dice, bodies, killed = random.Random(7), dict[str, str](), 0
    with ServerProcess(tmp_path / "data") as server:
        laptop, _ = await Device.init(tmp_path / "laptop", server.url)
        phone = await joined(laptop, tmp_path / "phone")
        async with laptop, phone:
            while killed < KILLS:
                await fill(laptop, bodies)
                killed += await pushed_under_fire(laptop, server, dice, KILLS - killed)
            await phone.sync()
            found = {r.id: r.fields["body"] async for r in phone.collection("entries").iterate()}
    assert found == bodies


async def fill(device: Device, bodies: dict[str, str]) -> None:
    """Write `CHANGES` entries, as if offline."""
    texts = [f"entry {len(bodies) + number}" for number in range(CHANGES)]
    ids = await device.collection("entries").create_many({"body": text} for text in texts)
    bodies.update(zip(ids, texts, strict=True))


async def pushed_under_fire(device: Device, server: ServerProcess, dice: random.Random, most: int) -> int:
    """Push all that is unsent while the server is killed up to `most` times; how often it was."""
    killed = 0
    syncing = asyncio.create_task(finished(device))
    while killed < most:
        await asyncio.wait([syncing], timeout=dice.random() * LONGEST_PUSH_S)
        if syncing.done():
            break
        server.kill()
        killed += 1
        server.start()
    await syncing
    return killed


async def finished(device: Device) -> None:
    """Sync as an app does: again whenever the server was away for longer than a sync waits."""
    while (await device.status()).pending:
        try:
            await device.sync()
        except EcholiaError as error:
            assert error.code == "server_unreachable"  # noqa: PT017 — anything else is a failure
