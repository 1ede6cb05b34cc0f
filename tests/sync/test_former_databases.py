"""A server's data of any earlier version is served: logs are read, continued, acknowledged and compacted."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from echolia.core import push, runs
from echolia.core.positions import LogPosition
from echolia.storage.sqlite.user_files import user_path
from tests.fixtures.story import MONTH_S, NAME, OBJECTS, STREAM, Device, compacted, devices_of
from tests.support import former
from tests.support.accounts import Account
from tests.support.runs import Writer
from tests.support.server import Clock, served

# The server's time in the fixtures when they were left.
LEFT_S = Clock().now_s + MONTH_S
DATA = [(directory, user) for directory in former.versions("directory") for user in former.versions("user")]


@pytest.fixture(params=DATA, ids=lambda version: f"directory{version[0]}-user{version[1]}")
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A data folder with databases of these versions."""
    directory, user = request.param
    former.make("directory", directory, tmp_path / "directory.db")
    former.make("user", user, user_path(tmp_path / "users", Account(NAME).id))
    return tmp_path


def frames_in(data: Path) -> list[tuple[int, bytes]]:
    """The runs that were kept whole, and where they stand."""
    with closing(sqlite3.connect(user_path(data / "users", Account(NAME).id))) as db:
        kept = {column for (column,) in db.execute("SELECT name FROM pragma_table_info('runs')")}
        whole = " WHERE partial = 0" if "partial" in kept else ""
        return db.execute(f"SELECT seq, frame FROM runs{whole} ORDER BY seq").fetchall()


async def served_whole(device: Device) -> list[push.Item]:
    """All of the log that is served."""
    status = (await device("GET", "/sync/status")).json()
    page = await device.page(base=status["base"]) if status["base"] else await device.page()
    items = list(page.items)
    if status["base"]:
        after = {"epoch": status["epoch"], "seq": status["base"]}
        items += (await device.page(cursor=after)).items
    return sorted(items, key=lambda item: item.seq)


async def grown(device: Device, objects: list[bytes]) -> None:
    """Write these objects anew and push them."""
    writer: Writer = device.writer
    first = len(writer.changes) + 1
    for object_ in objects:
        writer.change(object_, STREAM, 256)
    await device.push(first, len(writer.changes))


async def test_it_is_read_continued_and_acknowledged(data: Path) -> None:
    kept, clock = frames_in(data), Clock(LEFT_S)
    async with served(data, clock) as ask:
        laptop, phone = await devices_of(ask, Account(NAME))
        items = await served_whole(laptop)
        assert [(item.seq, bytes(item.content)) for item in items if item.form == push.WHOLE] == kept
        before = await laptop.head()
        await grown(phone, OBJECTS)
        assert (await laptop.head()).seq == before.seq + len(OBJECTS)
        await laptop.acknowledge()
        acks = (await laptop("GET", "/sync/status")).json()["acks"]
        assert before.seq + len(OBJECTS) in {ack["seq"] for ack in acks}
        (new,) = (await laptop.page(cursor=_cursor(before))).items
        assert runs.read_header(new.content).device == phone.writer.device
    assert former.faults(user_path(data / "users", Account(NAME).id)) == []


async def test_history_that_was_never_let_go_of_is_compacted(data: Path) -> None:
    clock = Clock(LEFT_S)
    async with served(data, clock) as ask:
        laptop, _ = await devices_of(ask, Account(NAME))
        if (await laptop("GET", "/sync/status")).json()["base"]:
            return  # the version that left it did so itself
        await grown(laptop, OBJECTS)
        before = len(await served_whole(laptop))
        await laptop.checkpoint()
        clock.pass_s(MONTH_S)
        laptop, phone = await devices_of(ask, Account(NAME))
        for device in (laptop, phone):
            await device.acknowledge()
        await compacted(laptop)
        async with asyncio.timeout(30):  # the base moves first
            while len(await served_whole(laptop)) >= before:
                await laptop.acknowledge()


def _cursor(position: LogPosition) -> dict[str, int]:
    return {"epoch": position.epoch, "seq": position.seq}
