"""A full disk: the edit that did not fit fails by name, everything before it stays, room makes it good."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

from echolia.client import Device
from tests.client.crash_stage import check_home
from tests.support.devices import World

# The file size limit stands in for a full disk: beyond it a write fails with EFBIG instead of ENOSPC.
UNTIL_FULL = """
import asyncio, json, resource, sys
from pathlib import Path
from echolia.client import Device, EcholiaError

async def main():
    home = Path(sys.argv[1])
    async with await Device.open(home) as device:
        size = (home / "echolia.db").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 2_000_000, size + 2_000_000))
        done, code = [], None
        for number in range(1000):
            try:
                done.append(await device.collection("entries").create(
                    {"title": f"note {number}", "body": "word " * 400}))
            except EcholiaError as error:
                code = error.code
                break
        readable = await device.collection("entries").count()
    print(json.dumps([code, done, readable]))

asyncio.run(main())
"""


async def test_a_full_disk(world: World) -> None:
    device = await world.first("home")
    await device.aclose()
    home = world.folder / "home"
    command = [sys.executable, "-c", UNTIL_FULL, str(home)]
    run = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    code, done, readable = json.loads(run.stdout)
    assert code == "disk_full"
    assert readable == len(done) > 10
    async with await Device.open(home, **world.around("home")) as device:
        check_home(device)
        entries = device.collection("entries")
        assert {record.id for record in await entries.list()} == set(done)
        await entries.create({"title": "there is room again"})
        assert (await device.sync()).pushed == len(done) + 1
