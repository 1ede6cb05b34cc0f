"""A server whose new accounts live on a real sqld: devices sync, and a deletion leaves nothing there."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from time import time
from typing import Any

import pytest

from echolia.client import Device
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.storage.engine import Statement
from echolia.storage.hrana.names import load_names
from echolia.workers.node import folder_of
from echolia.workers.operating import asking
from tests.support.devices import World, joined
from tests.support.process import ServerProcess
from tests.support.server import Clock, served
from tests.support.sqld import SqldProcess

pytestmark = pytest.mark.service


@pytest.fixture
def cell(service_binary: Callable[[str, str], str], tmp_path: Path) -> Iterator[SqldProcess]:
    """An sqld, and beside it the file that names it."""
    process = SqldProcess(service_binary, tmp_path / "cell")
    process.start()
    (process.folder / "homes.toml").write_text(
        f'[cell-1]\nkind = "sqld"\nurl = "{process.url}"\nadmin_url = "{process.admin_url}"\n'
        'admin_key_file = "admin.key"\nsigning_key_file = "signing.pem"\n'
    )
    yield process
    process.stop()


@pytest.fixture
async def world(cell: SqldProcess, tmp_path: Path) -> AsyncIterator[World]:
    """A server that puts new accounts there; tokens are for a real server, so time is real."""
    clock = Clock(time())
    elsewhere = {"homes": cell.folder / "homes.toml", "new_accounts": "cell-1"}
    async with served(tmp_path / "server", clock, **elsewhere) as ask, AsyncExitStack() as stack:
        yield World(ask, clock, tmp_path, stack)


def holding(folder: Path, words: list[bytes]) -> set[str]:
    """The files below a folder that hold one of the words, or have it in their name."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
        and any(word in path.read_bytes() or word in str(path.relative_to(folder)).encode() for word in words)
    }


async def frames(cell: SqldProcess, name: str) -> list[bytes]:
    """What an account's database on sqld holds."""
    place = cell.place()
    db = place.database(name)
    rows = (await db.batch([Statement("SELECT frame FROM runs ORDER BY seq")]))[0].rows
    await db.close()
    await place.close()
    return [frame for (frame,) in rows if isinstance(frame, bytes)]


async def test_two_devices_sync_and_a_deletion_leaves_nothing(
    world: World, cell: SqldProcess, tmp_path: Path
) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    mine, theirs = laptop.collection("entries"), phone.collection("entries")
    notes = [await mine.create({"title": f"note {n}"}) for n in range(20)]
    await laptop.sync()
    assert (await phone.sync()).pulled >= len(notes)
    await theirs.update(notes[0], {"title": "edited on the phone"})
    await phone.sync()
    await laptop.sync()
    assert (await mine.get(notes[0])).title == "edited on the phone"

    account = laptop._replica.identity.account
    name = load_names(tmp_path / "server" / "databases.key").of(account)
    stored = await frames(cell, name)
    assert len(stored) >= 2
    assert not list((tmp_path / "server" / "users").rglob("*.db"))
    traces = [frame[-64:] for frame in stored] + [account, account.hex().encode(), b64(account).encode()]
    assert holding(cell.data, traces)

    await laptop.delete_account()
    assert holding(cell.data, traces) == set()
    cell.stop()
    assert holding(cell.data, traces) == set()
    # The name, a pseudonym that only this installation's key links to the account, is what sqld keeps of it.
    assert {file.split("/")[0] for file in holding(cell.data, [name.encode()])} <= {"metastore"}


async def test_a_cell_that_is_away_is_said_and_comes_back(world: World, cell: SqldProcess) -> None:
    laptop = await world.first()
    notes = laptop.collection("entries")
    await notes.create({"title": "before"})
    await laptop.sync()
    cell.kill()
    await notes.create({"title": "while it is away"})
    with pytest.raises(EcholiaError, match=r"storage_(busy|uncertain)"):
        await laptop.sync()
    cell.start()
    await laptop.sync()
    assert (await laptop.status()).pending == 0


async def test_an_account_moves_to_the_cell_and_back_while_its_devices_sync(
    cell: SqldProcess, tmp_path: Path
) -> None:
    homes = cell.folder / "homes.toml"
    async with (
        served(tmp_path / "server", Clock(time()), homes=homes) as ask,
        AsyncExitStack() as stack,
        asking(folder_of(tmp_path / "server")) as operator,
    ):
        world = World(ask, Clock(time()), tmp_path, stack)
        laptop, phone = await two_devices(world)
        notes, user = laptop.collection("entries"), laptop._replica.identity.account.hex()
        assert operator is not None
        for to in ("cell-1", "files"):
            moving = asyncio.create_task(result_of(operator.move(user, to)))
            while not moving.done():
                await notes.create({"title": f"written on the way to {to}"})
                await laptop.sync()
            assert (await moving)["home"] == to
            assert (await operator.show(user))["home"] == to
        await laptop.sync()
        await phone.sync()
        titles = [record.title for record in await phone.collection("entries").list(limit=1000)]
        assert len(titles) == await notes.count()
        assert {title.rpartition(" ")[2] for title in titles if title} == {"cell-1", "files"}
        name = load_names(tmp_path / "server" / "databases.key").of(laptop._replica.identity.account)
        assert not any((cell.data / "dbs").glob(name)), "it is not left there"


async def two_devices(world: World) -> tuple[Device, Device]:
    """Two devices of one account."""
    laptop = await world.first()
    return laptop, await world.added(laptop)


async def result_of(events: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    """The last thing that is told."""
    result: dict[str, Any] = [event async for event in events][-1]["result"]
    return result


@pytest.mark.slow
async def test_killed_under_a_push_the_cell_has_what_was_acknowledged(
    cell: SqldProcess, tmp_path: Path
) -> None:
    dice, texts = random.Random(11), [f"entry {n}" for n in range(3000)]
    homes = str(cell.folder / "homes.toml")
    with ServerProcess(tmp_path / "data", homes=homes, new_accounts="cell-1") as server:
        laptop, _ = await Device.init(tmp_path / "laptop", server.url)
        phone = await joined(laptop, tmp_path / "phone")
        async with laptop, phone:
            await laptop.collection("entries").create_many({"body": text} for text in texts)
            syncing = asyncio.create_task(finished(laptop))
            for _ in range(3):
                await asyncio.wait([syncing], timeout=dice.random() * 0.3)
                cell.kill()
                cell.start()
            await syncing
            await phone.sync()
            found = [str(record.fields["body"]) async for record in phone.collection("entries").iterate()]
            assert sorted(found) == sorted(texts)
    # What an operator runs after a restore finds the accounts there as well.
    command = [sys.executable, "-m", "echolia", "restored", "--json", "--data", str(tmp_path / "data")]
    environment = {**os.environ, "ECHOLIA_HOMES": homes}
    told = await asyncio.to_thread(subprocess.check_output, command, env=environment, timeout=60)
    assert json.loads(told) == {"accounts": 1, "emptied": 0, "failed": {}}
    log = server.log.read_text()
    assert "storage" in log or "swept" in log
    assert [word for word in ("INSERT", "eyJ", cell.admin_key, "Bearer") if word in log] == []


async def finished(device: Device) -> None:
    """Sync as an app does: again whenever a sync gave up."""
    while (await device.status()).pending:
        try:
            await device.sync()
        except EcholiaError as error:
            assert error.code in {"storage_busy", "storage_uncertain"}  # noqa: PT017 — nothing else may be
