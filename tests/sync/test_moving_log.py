"""A log moves back and forth while devices push and pull: nothing is lost, and it stays one chain."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from echolia.core.positions import LogPosition, log_after, log_start
from echolia.storage.databases import FILES, owner
from echolia.storage.engine import Statement
from echolia.sync.service import SyncService
from tests.support.runs import Writer
from tests.support.two_places import OTHER, PLACES, Process, two_places
from tests.sync.conftest import ACCOUNT, EPOCH, Log

MOVES = 4


async def pushing(log: Log, service: SyncService, writer: Writer, moving: asyncio.Task[None]) -> int:
    """Push a run after the other until the moves are done; returns how many changes were acknowledged."""
    pushed = 0
    while not moving.done():
        writer.write(2)
        told = await service.push(log.caller(writer), [writer.run(pushed + 1)])
        assert told["runs"][0]["status"] == "stored"
        pushed += 2
        status = await service.status(log.caller(writer))
        assert status["head"]["seq"] >= told["head"]["seq"]
    return pushed


async def rechained(process: Process) -> LogPosition:
    """The log's head, worked out anew from all of its runs."""
    async with process.databases.lease(ACCOUNT) as db:
        sql = "SELECT seq, changes, device, last, chain, received_ms, log FROM runs ORDER BY seq"
        (found,) = await db.batch([Statement(sql)])
    position = log_start(ACCOUNT, EPOCH)
    rows: list[tuple[int, int, bytes, int, bytes, int, bytes]] = found.rows  # type: ignore[assignment]
    for seq, changes, device, last, chain, received_ms, stored in rows:
        assert seq == position.seq + 1
        position = log_after(position, changes, device, last, chain, received_ms)
        assert position.log == stored
    return position


@pytest.mark.parametrize("kind", list(PLACES))
async def test_devices_push_while_it_moves(tmp_path: Path, log: Log, kind: str) -> None:
    async with two_places(tmp_path / "data", kind) as process:
        await process.databases.create(ACCOUNT, [owner(ACCOUNT, EPOCH)])
        service = replace(log.service, accounts=process.databases)

        async def move() -> None:
            for n in range(MOVES):
                await process.moves.move(ACCOUNT, (OTHER, FILES)[n % 2])

        moving = asyncio.create_task(move())
        laptops, phones = await asyncio.gather(
            pushing(log, service, log.laptop, moving), pushing(log, service, log.phone, moving)
        )
        await moving
        assert laptops and phones
        status = await service.status(log.caller(log.laptop))
        position = await rechained(process)
        assert status["head"]["seq"] == position.seq == laptops + phones
        assert not await process.is_at(OTHER, ACCOUNT)
