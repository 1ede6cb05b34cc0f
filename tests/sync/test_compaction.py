"""Compaction: when it may happen, and what is served while it happens and after."""

from __future__ import annotations

from typing import Any

import pytest

from echolia.core import push, runs
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.storage.engine import Statement
from echolia.sync.compaction import DAY_MS
from tests.support.live_changes import Logged, changes_of, live_at
from tests.support.runs import Writer
from tests.sync.conftest import ACCOUNT, Log, open_log
from tests.sync.test_ack_status import ack
from tests.sync.test_checkpoints import OBJECTS, STREAM, items_of, listed, place, point_at, put, write
from tests.sync.test_pull import at, pull


@pytest.fixture
async def filled(log: Log) -> Log:
    """Seven changes, of which a checkpoint at 6 counts four: the laptop's 2 and 3, the phone's 2 and 3."""
    await write(log, log.laptop, OBJECTS[0])
    log.laptop.change(OBJECTS[1], STREAM)
    log.laptop.change(OBJECTS[3], STREAM)
    await log.service.push(log.caller(log.laptop), [log.laptop.run(2)])
    await write(log, log.phone, OBJECTS[2])
    log.phone.change(OBJECTS[0], STREAM, context={log.laptop.device: 1})
    log.phone.change(OBJECTS[2], STREAM)
    await log.service.push(log.caller(log.phone), [log.phone.run(2)])
    await write(log, log.laptop, OBJECTS[3])
    return log


async def acknowledged(log: Log, writer: Writer, seq: int) -> None:
    """The device has verified the log up to there."""
    await ack(log, writer, await place(log, seq))


async def base_of(log: Log) -> int:
    """The log's base, as the status tells it, once nothing is being compacted."""
    await log.compaction.settled()
    base: int = (await log.service.status(log.caller(log.phone)))["base"]
    return base


async def compacted(log: Log, seq: int) -> None:
    """Compact the log as time passes: both devices acknowledge its end a month after a checkpoint."""
    await put(log, log.laptop, await point_at(log, seq))
    log.now_ms[0] += 30 * DAY_MS
    head = (await log.service.status(log.caller(log.phone)))["head"]["seq"]
    for writer in (log.laptop, log.phone):
        await acknowledged(log, writer, head)
        await log.compaction.settled()
    assert await base_of(log) == seq


async def base_items(log: Log, base: int, max_bytes: int = 8 << 20) -> list[push.Item]:
    """All that is served up to a base, newest first, page by page."""
    found: list[push.Item] = []
    while True:
        before = found[-1].seq if found else None
        page = await pull(log, log.phone, base=base, before=before, max_bytes=max_bytes)
        found += page.items
        if not page.more:
            return found
        assert page.items


async def test_the_base_moves_once_a_month_has_passed_and_all_devices_have_acknowledged(filled: Log) -> None:
    await put(filled, filled.laptop, await point_at(filled, 6))
    filled.now_ms[0] += 30 * DAY_MS
    await acknowledged(filled, filled.laptop, 7)
    assert await base_of(filled) == 0
    await acknowledged(filled, filled.phone, 3)
    assert await base_of(filled) == 0
    await acknowledged(filled, filled.phone, 6)
    assert await base_of(filled) == 6
    assert await listed(filled) == [(6, True)]


async def test_not_before_the_undo_window_is_over(filled: Log) -> None:
    await put(filled, filled.laptop, await point_at(filled, 6))
    filled.now_ms[0] += 30 * DAY_MS - 1
    for writer in (filled.laptop, filled.phone):
        await acknowledged(filled, writer, 7)
    assert await base_of(filled) == 0


async def test_of_two_only_the_one_that_is_old_enough(filled: Log) -> None:
    await put(filled, filled.laptop, await point_at(filled, 3))
    filled.now_ms[0] += 10 * DAY_MS
    await put(filled, filled.laptop, await point_at(filled, 6))
    filled.now_ms[0] += 20 * DAY_MS
    head = await place(filled, 7)
    for writer in (filled.laptop, filled.phone):
        await ack(filled, writer, head)
    assert await base_of(filled) == 3
    assert await listed(filled) == [(6, False), (3, True)]


async def test_a_device_that_says_nothing_for_long_is_not_waited_for(filled: Log) -> None:
    await acknowledged(filled, filled.phone, 3)
    await put(filled, filled.laptop, await point_at(filled, 6))
    filled.now_ms[0] += 90 * DAY_MS - 1
    await acknowledged(filled, filled.laptop, 7)
    assert await base_of(filled) == 0
    filled.now_ms[0] += 1
    await acknowledged(filled, filled.laptop, 7)
    assert await base_of(filled) == 6


async def test_a_silent_device_is_waited_for_from_when_the_checkpoint_came(filled: Log) -> None:
    filled.now_ms[0] += 1000 * DAY_MS
    await put(filled, filled.laptop, await point_at(filled, 6))
    filled.now_ms[0] += 89 * DAY_MS
    await acknowledged(filled, filled.laptop, 7)
    assert await base_of(filled) == 0


async def test_a_revoked_device_is_not_waited_for(filled: Log) -> None:
    filled.devices.revoked[filled.phone.device] = 3
    await put(filled, filled.laptop, await point_at(filled, 6))
    filled.now_ms[0] += 30 * DAY_MS
    await acknowledged(filled, filled.laptop, 7)
    assert await base_of(filled) == 6


async def test_a_void_checkpoint_is_never_compacted_to(filled: Log) -> None:
    await put(filled, filled.laptop, await point_at(filled, 6))
    filled.now_ms[0] += 30 * DAY_MS
    filled.devices.revoked[filled.phone.device] = 1
    await acknowledged(filled, filled.laptop, 7)
    assert await base_of(filled) == 0


async def test_what_is_not_live_is_gone_and_the_rest_is_served_newest_first(filled: Log) -> None:
    whole = await items_of(filled)
    await compacted(filled, 6)
    items = await base_items(filled, 6)
    assert [(item.seq, item.form) for item in items] == [(5, push.WHOLE), (2, push.WHOLE)]
    assert bytes(items[0].content) == filled.phone.run(2)
    assert dots(changes_of(items)) == dots(live_at(changes_of(whole), 6, {}))
    page = await pull(filled, filled.phone, cursor=at(6))
    assert [bytes(item.content) for item in page.items] == [filled.laptop.run(4)]


async def test_a_run_keeps_its_leaves_and_its_signature_where_some_of_it_is_live(filled: Log) -> None:
    await compacted(filled, 7)
    (item,) = [item for item in await base_items(filled, 7) if item.seq == 2]
    assert item.form == push.PARTIAL
    header = runs.read_header(item.content)
    whole, leaf = push.read_parts(bytes(item.content), header)
    assert isinstance(whole, runs.Change)
    assert runs.fold(header.prev, [runs.leaf(whole), leaf]) == filled.laptop.chain(3)  # type: ignore[list-item]


@pytest.mark.parametrize("cursor", [0, 3, 5])
async def test_a_cursor_before_the_base_must_start_again(filled: Log, cursor: int) -> None:
    await compacted(filled, 6)
    for fields in ({"cursor": at(cursor)}, {}):
        with pytest.raises(EcholiaError) as refused:
            await pull(filled, filled.phone, **fields)
        assert refused.value.code == "must_rebase"


@pytest.mark.parametrize("base", [3, 5, 7])
async def test_only_a_checkpoint_is_a_base_to_start_from(filled: Log, base: int) -> None:
    await put(filled, filled.laptop, await point_at(filled, 3))
    await compacted(filled, 6)
    with pytest.raises(EcholiaError) as refused:
        await pull(filled, filled.phone, base=base)
    assert refused.value.code == "must_rebase"


async def test_a_vector_gets_what_the_log_still_holds(filled: Log) -> None:
    await compacted(filled, 7)
    page = await pull(filled, filled.phone, vector={})
    assert [item.seq for item in page.items] == [2, 5, 7]
    assert [item.form for item in page.items] == [push.PARTIAL, push.WHOLE, push.WHOLE]
    assert not page.more


async def test_a_stream_of_a_partial_run_has_leaves_for_all_others(log: Log) -> None:
    for stream in (b"a" * 16, b"b" * 16, STREAM):
        log.laptop.change(stream, stream)
    await log.service.push(log.caller(log.laptop), [log.laptop.run()])
    await write(log, log.laptop, STREAM)
    await compacted(log, 4)
    page = await pull(log, log.phone, vector={}, stream=b64(b"a" * 16))
    parts = list(push.read_parts(bytes(page.items[0].content), runs.read_header(page.items[0].content)))
    assert [isinstance(part, bytes) for part in parts] == [False, True, True]
    assert page.items[1].form == push.ELIDED


async def test_stored_bytes_are_those_of_the_frames_that_are_there(filled: Log) -> None:
    await compacted(filled, 7)
    async with filled.databases.lease(ACCOUNT) as db:
        (found,) = await db.batch([Statement("SELECT sum(length(frame)) FROM runs")])
    assert (await filled.service.status(filled.caller(filled.phone)))["stored_bytes"] == found.rows[0][0]


async def test_everything_is_as_it_was_after_a_restart(filled: Log, tmp_path: Any) -> None:
    await compacted(filled, 7)
    before = await filled.service.status(filled.caller(filled.phone))
    await filled.close()
    again = await open_log(tmp_path)
    assert await again.service.status(again.caller(again.phone)) == before
    await again.close()


async def test_the_log_goes_on_after_all_runs_are_gone(log: Log, tmp_path: Any) -> None:
    """A log whose only writer's changes all lie behind a cut-off has a head and no run."""
    await write(log, log.phone, OBJECTS[0])
    log.devices.revoked[log.phone.device] = 0
    head = await place(log, 1)
    await put(log, log.laptop, await point_at(log, 1))
    log.now_ms[0] += 30 * DAY_MS
    await ack(log, log.laptop, head)
    assert await base_of(log) == 1
    before = await log.service.status(log.caller(log.phone))
    await log.close()
    again = await open_log(tmp_path)
    assert await again.service.status(again.caller(again.phone)) == before
    assert [each["counter"] for each in before["devices"]] == [1]
    assert (await pull(again, again.laptop, cursor=at(1))).head == head
    again.laptop.changes.clear()
    await write(again, again.laptop, OBJECTS[0])
    assert (await pull(again, again.phone, cursor=at(1))).items[0].seq == 2
    await again.close()


def dots(changes: list[Logged]) -> set[tuple[bytes, int]]:
    """Which changes these are."""
    return {(change.device, change.counter) for change in changes}
