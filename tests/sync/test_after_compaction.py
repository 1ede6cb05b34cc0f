"""After compaction: what is pushed, seen and acknowledged, and the next checkpoint."""

from __future__ import annotations

import pytest
from tests.sync.test_ack_status import ack

from echolia.core.checkpoints import ChainHead, Checkpoint, LiveChange, live_root
from echolia.core.positions import LogPosition
from echolia.sync.compaction import DAY_MS
from tests.support.live_changes import changes_of, live_at
from tests.sync.conftest import ACCOUNT, EPOCH, Log
from tests.sync.test_checkpoints import OBJECTS, STREAM, items_of, listed, place, point_at, put, write
from tests.sync.test_compaction import acknowledged, base_items, base_of, compacted, dots
from tests.sync.test_compaction import filled as filled  # noqa: PLC0414 — a fixture
from tests.sync.test_pull import at, pull


@pytest.mark.parametrize(
    ("first", "last", "status", "code"),
    [(1, 4, "duplicate", ""), (1, 3, "duplicate", ""), (1, 1, "duplicate", ""), (3, 3, "duplicate", "")],
)
async def test_what_is_sent_again_is_known_by_its_chain(
    filled: Log, first: int, last: int, status: str, code: str
) -> None:
    await compacted(filled, 7)
    answer = await filled.service.push(filled.caller(filled.laptop), [filled.laptop.run(first, last)])
    assert [(run["status"], run.get("code", "")) for run in answer["runs"]] == [(status, code)]


async def test_a_run_that_ends_in_what_was_forgotten_cannot_be_compared(log: Log) -> None:
    for _ in range(3):
        await write(log, log.laptop, OBJECTS[0])
    await compacted(log, 3)
    answer = await log.service.push(log.caller(log.laptop), [log.laptop.run(1, 1)])
    assert answer["runs"][0]["code"] == "device_fork"
    answer = await log.service.push(log.caller(log.laptop), [log.laptop.run(1, 2)])
    assert answer["runs"][0]["status"] == "duplicate"


async def test_a_head_whose_run_is_gone_is_known_to_the_next_checkpoint(log: Log) -> None:
    """The phone's second change lies behind a cut-off, so its first, which is live, is the last of it."""
    for object_ in OBJECTS[:2]:
        await write(log, log.phone, object_)
    log.devices.revoked[log.phone.device] = 1
    point = await point_at(log, 2)
    await put(log, log.laptop, point)
    log.now_ms[0] += 30 * DAY_MS
    await acknowledged(log, log.laptop, 2)
    assert await base_of(log) == 2
    await write(log, log.laptop, OBJECTS[2])
    heads = {**point.heads, log.laptop.device: ChainHead(1, log.laptop.chain(1))}
    items = [*await base_items(log, 2), *(await pull(log, log.phone, cursor=at(2))).items]
    live = sorted(LiveChange(each.device, each.counter, each.leaf) for each in changes_of(items))
    count, root = live_root(ACCOUNT, 3, live)
    position, received_ms = await place(log, 3), items[-1].received_ms
    await put(log, log.laptop, Checkpoint(position, received_ms, 2, bytes(32), heads, count, root))
    assert await listed(log) == [(3, False), (2, True)]


@pytest.mark.parametrize("position", [LogPosition(EPOCH, 3, bytes(32)), LogPosition(EPOCH, 4, bytes(32))])
async def test_what_was_seen_before_the_base_is_taken(filled: Log, position: LogPosition) -> None:
    await compacted(filled, 6)
    filled.phone.change(OBJECTS[0], STREAM)
    frame = filled.phone.run(4, seen=position)
    answer = await filled.service.push(filled.caller(filled.phone), [frame])
    assert answer["runs"][0]["status"] == "stored"
    await ack(filled, filled.phone, position)


async def test_what_was_seen_at_the_base_must_fit_it(filled: Log) -> None:
    position = await place(filled, 6)
    await compacted(filled, 6)
    filled.phone.change(OBJECTS[0], STREAM)
    for log_hash, status in ((bytes(32), "refused"), (position.log, "stored")):
        frame = filled.phone.run(4, seen=position._replace(log=log_hash))
        answer = await filled.service.push(filled.caller(filled.phone), [frame])
        assert answer["runs"][0]["status"] == status


async def test_the_next_checkpoint_counts_from_what_is_left(filled: Log) -> None:
    whole = await items_of(filled)
    point = await point_at(filled, 7)
    await compacted(filled, 6)
    await put(filled, filled.phone, point)
    assert await listed(filled) == [(7, False), (6, True)]
    assert dots(live_at(changes_of(await base_items(filled, 7)), 7, {})) == dots(
        live_at(changes_of(whole), 7, {})
    )
    filled.now_ms[0] += 30 * DAY_MS
    position = LogPosition(EPOCH, 7, point.position.log)
    for writer in (filled.laptop, filled.phone):
        await ack(filled, writer, position)
    assert await base_of(filled) == 7
    assert await listed(filled) == [(7, True)]
    assert dots(changes_of(await base_items(filled, 7))) == dots(live_at(changes_of(whole), 7, {}))


async def test_a_budget_counts_from_the_cursor_on(filled: Log) -> None:
    for _ in range(3):
        await write(filled, filled.phone, OBJECTS[0])
    await compacted(filled, 7)
    run_bytes = len(filled.phone.run(4, 4))
    for cursor, budget, served in (
        (7, 2 * run_bytes, [8, 9]),
        (7, 2 * run_bytes - 1, [8]),
        (8, 9999, [9, 10]),
    ):
        page = await pull(filled, filled.laptop, cursor=at(cursor), max_bytes=budget)
        assert [item.seq for item in page.items] == served
