"""A move pauses a database for as short as it can, and waits for who uses it beside the others."""

from __future__ import annotations

import asyncio

import pytest

from echolia.storage.databases import FILES
from echolia.storage.engine import DatabaseBusy, Statement
from echolia.storage.moving import Moves, Patience
from tests.storage.conftest import ANNA, frames, put
from tests.support.two_places import OTHER, Process


async def test_a_pause_that_leases_do_not_let_begin_is_given_up(process: Process) -> None:
    opens = process.databases._opens
    async with process.databases.lease(ANNA):
        with pytest.raises(DatabaseBusy):
            await opens.pause(ANNA, drain_s=0)
        await put(process.databases, ANNA, b"goes on", 50)
    assert (await frames(process.databases, ANNA))[-1] == b"goes on"
    assert process.databases.open_count == 1


async def test_a_move_waits_for_who_uses_the_database_and_keeps_nobody_else(process: Process) -> None:
    moves = Moves(process.databases, process.registry, Patience(drain_s=0, tries=10**6, between_s=0))
    async with process.databases.lease(ANNA):
        moving = asyncio.create_task(moves.move(ANNA, OTHER))
        for n in range(100, 140):
            await put(process.databases, ANNA, b"meanwhile", n)
        assert not moving.done()
        assert (await process.registry.place(ANNA)).home == FILES
    assert (await moving).rows == 11 + 40


async def test_a_compaction_right_before_the_pause_is_moved_too(process: Process) -> None:
    """All that was to be copied meanwhile is copied and compared: then old runs are dropped and shortened."""
    moves = Moves(process.databases, process.registry, Patience(drain_s=0, tries=10**6, between_s=0))
    async with process.databases.lease(ANNA) as db:
        moving = asyncio.create_task(moves.move(ANNA, OTHER))
        while ANNA not in process.databases._opens._paused:
            await db.batch([Statement("SELECT 1")])
        await db.batch(
            [
                Statement("DELETE FROM runs WHERE seq = 1"),
                Statement("UPDATE runs SET frame = ?, partial = 1 WHERE seq = 2", (b"shorter",)),
            ]
        )
    assert (await moving).rows == 10
    assert (await frames(process.databases, ANNA))[0] == b"shorter"


async def test_a_move_that_finds_no_moment_is_given_up_and_can_go_on(process: Process) -> None:
    moves = Moves(process.databases, process.registry, Patience(drain_s=0, tries=3, between_s=0))
    async with process.databases.lease(ANNA):
        with pytest.raises(DatabaseBusy):
            await moves.move(ANNA, OTHER)
    assert (await process.registry.place(ANNA))[:2] == (FILES, OTHER)
    assert (await process.moves.move(ANNA, OTHER)).rows == 11
