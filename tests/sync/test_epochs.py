"""A new epoch: positions stay, hashes follow from the new start, the base keeps its checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from echolia.core import runs
from echolia.core.errors import EcholiaError
from echolia.core.positions import LogPosition, log_after, log_base, log_start
from echolia.sync import epochs
from tests.support.runs import Writer
from tests.sync.conftest import ACCOUNT, EPOCH, Log, open_log
from tests.sync.test_ack_status import ack
from tests.sync.test_checkpoints import OBJECTS, STREAM, items_of, listed, place, point_at, put, write
from tests.sync.test_compaction import base_items, compacted
from tests.sync.test_pull import at, pull

NEW = EPOCH + 1


async def restored(log: Log, folder: Path, epoch: int = NEW) -> Log:
    """The log after its server came back from a backup."""
    await log.close()
    again = await open_log(folder)
    async with again.databases.lease(ACCOUNT) as db:
        await epochs.begin(db, epoch)
    again.laptop, again.phone = log.laptop, log.phone
    again.now_ms[0] = log.now_ms[0]
    await again.databases.drop(ACCOUNT)
    return again


def linked(position: LogPosition, log: Log, items: list[tuple[Writer, int, int, int]]) -> LogPosition:
    """The position after these runs: writer, first and last change, receive time."""
    for writer, first, last, received_ms in items:
        count = last - first + 1
        position = log_after(position, count, writer.device, last, writer.chain(last), received_ms)
    return position


async def test_the_hashes_follow_from_the_new_start(log: Log, tmp_path: Path) -> None:
    await write(log, log.laptop, OBJECTS[0])
    await write(log, log.phone, OBJECTS[1])
    items = await items_of(log)
    again = await restored(log, tmp_path)
    page = await pull(again, again.phone)
    assert page.items == items
    times = [item.received_ms for item in items]
    expected = linked(
        log_start(ACCOUNT, NEW), log, [(log.laptop, 1, 1, times[0]), (log.phone, 1, 1, times[1])]
    )
    assert page.head == expected
    await again.close()


async def test_cursors_and_acknowledgements_of_before_start_again(log: Log, tmp_path: Path) -> None:
    await write(log, log.laptop, OBJECTS[0])
    position = await place(log, 1)
    await put(log, log.laptop, await point_at(log, 1))
    again = await restored(log, tmp_path)
    for asked in (pull(again, again.phone, cursor=at(1)), ack(again, again.phone, position)):
        with pytest.raises(EcholiaError) as refused:
            await asked
        assert refused.value.code == "must_rebase"
    assert await listed(again) == []
    await again.close()


async def test_a_compacted_log_goes_on_from_its_base(log: Log, tmp_path: Path) -> None:
    await write(log, log.laptop, OBJECTS[0])
    await write(log, log.laptop, OBJECTS[0])
    await write(log, log.phone, OBJECTS[1])
    await compacted(log, 2)
    base, after = await place(log, 2), (await pull(log, log.phone, cursor=at(2))).items
    again = await restored(log, tmp_path)
    assert await listed(again) == [(2, True)]
    assert [item.seq for item in await base_items(again, 2)] == [2]
    page = await pull(again, again.phone, cursor=at(2, NEW))
    assert page.items == after
    start = log_base(ACCOUNT, NEW, base)
    assert page.head == linked(start, log, [(log.phone, 1, 1, after[0].received_ms)])
    for log_hash, status in ((base.log, "refused"), (start.log, "stored")):
        again.laptop.change(OBJECTS[2], STREAM)
        frame = again.laptop.run(3, 3, seen=LogPosition(NEW, 2, log_hash))
        answer = await again.service.push(again.caller(again.laptop), [frame])
        assert answer["runs"][0]["status"] == status
    await again.close()


async def test_a_second_epoch_follows_from_the_same_checkpoint(log: Log, tmp_path: Path) -> None:
    await write(log, log.laptop, OBJECTS[0])
    await compacted(log, 1)
    base = await place(log, 1)
    once = await restored(log, tmp_path)
    twice = await restored(once, tmp_path, NEW + 1)
    assert (await pull(twice, twice.phone, cursor=at(1, NEW + 1))).head == log_base(ACCOUNT, NEW + 1, base)
    status = await twice.service.status(twice.caller(twice.phone))
    assert (status["epoch"], status["base"]) == (NEW + 1, 1)
    await twice.close()


async def test_what_the_backup_lacked_is_taken_again(log: Log, tmp_path: Path) -> None:
    await write(log, log.laptop, OBJECTS[0])
    again = await restored(log, tmp_path)
    again.laptop.change(OBJECTS[1], STREAM)
    frame = again.laptop.run(1, 2)
    assert runs.read_header(frame).count == 2
    answer = await again.service.push(again.caller(again.phone), [frame])
    assert [(run["status"], run["duplicates"]) for run in answer["runs"]] == [("stored", 1)]
    await again.close()
