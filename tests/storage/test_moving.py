"""A database moves while it is served; whatever interrupts that, all of it is in one place."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from echolia.core.errors import EcholiaError
from echolia.storage.databases import FILES
from echolia.storage.engine import DatabaseBusy, DatabaseExists, DatabaseMissing, Statement
from echolia.storage.migrate import load_migrations
from echolia.storage.registry import Place
from tests.simulator.crashes import Crashed
from tests.storage.conftest import ANNA, BEN, begin, belongs_to, frames, put, state
from tests.support.two_places import OTHER, End, Process, two_places

MOST_STEPS = 200


async def owner_rows(process: Process, name: str, account: bytes = ANNA) -> int:
    """How many rows the table `account` has at a place."""
    db = await process.homes[name].real.open(account)
    try:
        return len((await db.batch([Statement("SELECT * FROM account")]))[0].rows)
    finally:
        await db.close()


async def test_it_is_there_and_no_longer_here(process: Process) -> None:
    before = await state(process)
    told: list[tuple[str, int, int | None]] = []
    moved = await process.moves.move(ANNA, OTHER, lambda *each: told.append(each))
    assert (moved.source, moved.home, moved.root) == (FILES, OTHER, before.root)
    assert moved.rows == sum(before.counts.values()) == 11
    assert [done for _, done, _ in told] == [0, 3, 6, 7]
    assert await state(process) == before
    assert await process.registry.place(ANNA) == Place(OTHER, version=len(load_migrations("user")))
    assert not await process.is_at(FILES, ANNA)


async def test_and_back_again(process: Process) -> None:
    before = await state(process)
    for to in (OTHER, FILES, FILES, OTHER, FILES):
        await process.moves.move(ANNA, to)
        await put(process.databases, ANNA, b"", 1000 + len(await frames(process.databases, ANNA)))
    assert (await state(process)).counts["runs"] == before.counts["runs"] + 5
    assert not await process.is_at(OTHER, ANNA)


async def test_others_stay_where_they_are(process: Process) -> None:
    await begin(process, BEN, 1)
    await process.moves.move(ANNA, OTHER)
    assert (await process.registry.place(BEN)).home == FILES
    assert len(await frames(process.databases, BEN)) == 1


async def test_an_unfinished_copy_is_nobody_s(tmp_path: Path, kind: str) -> None:
    """The copy is made, but before the owner's row comes the process ends."""
    until = End()
    async with two_places(tmp_path, kind, until) as process:
        await begin(process)
        until.at = until.steps + 6
        with pytest.raises(Crashed):
            await process.moves.move(ANNA, OTHER)
    async with two_places(tmp_path, kind) as process:
        assert (await process.registry.place(ANNA)).moving_to == OTHER
        assert await owner_rows(process, OTHER) == 0
        assert await owner_rows(process, FILES) == 1


async def interrupted(data: Path, kind: str, at: int, after: bool) -> tuple[bool, set[bytes]]:
    """Move until the process ends at a step; whether it did, and what was acknowledged to a writer."""
    until, kept = End(), set[bytes]()
    async with two_places(data, kind, until) as process:
        await begin(process)
        kept |= {bytes(frame) for frame in await frames(process.databases, ANNA)}  # type: ignore[arg-type]
        until.at, until.after, until.steps = at, after, 0

        async def write() -> None:
            for n in range(100, 112):
                frame = b"%d" % n + bytes(n * 100)
                await put(process.databases, ANNA, frame, n)
                kept.add(frame)

        writing = asyncio.create_task(write())
        moving = asyncio.create_task(process.moves.move(ANNA, OTHER))
        done, _ = await asyncio.wait({writing, moving})
        if ended := until.dead:
            for task in done:
                task.exception()
        else:
            await asyncio.gather(writing, moving)
    return ended, kept


async def whole_in_one_place(process: Process, kept: set[bytes]) -> None:
    """What is authoritative has all that was acknowledged; at any other place is what is to be removed."""
    there = await frames(process.databases, ANNA)
    # The last one may be there though nobody was told.
    assert kept <= set(there) and len(there) == len(set(there)) <= len(kept) + 1
    await process.databases.drop(ANNA)
    place = await process.registry.place(ANNA)
    elsewhere = ({FILES, OTHER} - {place.home}).pop()
    if await process.is_at(elsewhere, ANNA):
        assert elsewhere in (place.moving_to, place.leaving)


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_ended_at_any_step_it_is_whole_in_one_place_and_goes_on(
    tmp_path: Path, kind: str, after: bool
) -> None:
    for at in range(1, MOST_STEPS):
        data = tmp_path / str(at)
        ended, kept = await interrupted(data, kind, at, after)
        async with two_places(data, kind) as process:
            await whole_in_one_place(process, kept)
            late = b"late"
            await put(process.databases, ANNA, late, 999)
            await process.moves.move(ANNA, OTHER)
            assert {*kept, late} <= set(await frames(process.databases, ANNA))
            assert (await process.registry.place(ANNA))[:3] == (OTHER, None, None)
            assert not await process.is_at(FILES, ANNA)
        if not ended:
            assert at > 25, "the writer takes twelve of them"
            return
    raise AssertionError("a move takes fewer steps")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_the_next_start_removes_what_was_left(tmp_path: Path, kind: str, after: bool) -> None:
    """The process ends at the removal from the old place, the step behind the switch."""
    for at in range(1, MOST_STEPS):
        data, until = tmp_path / str(at), End()
        async with two_places(data, kind, until) as process:
            await begin(process, runs=1)
            until.at, until.after, until.steps = at, after, 0
            with suppress(Crashed):
                await process.moves.move(ANNA, OTHER)
        async with two_places(data, kind) as process:
            if (await process.registry.place(ANNA)).leaving is None:
                continue
            assert await process.moves.sweep() == 1
            assert (await process.registry.place(ANNA))[:3] == (OTHER, None, None)
            assert not await process.is_at(FILES, ANNA)
            assert len(await frames(process.databases, ANNA)) == 1
            assert await process.moves.sweep() == 0
            return
    raise AssertionError("no end lies there")


async def test_a_deletion_reaches_the_place_that_was_left(tmp_path: Path, kind: str) -> None:
    async with two_places(tmp_path, kind) as process:
        await begin(process)
        process.homes[FILES].until = End(at=1)
        with pytest.raises(Crashed):
            await process.moves.move(ANNA, OTHER)
    async with two_places(tmp_path, kind) as process:
        assert (await process.registry.place(ANNA))[:3] == (OTHER, None, FILES)
        assert await process.is_at(FILES, ANNA)
        await process.databases.delete(ANNA)
        assert not await process.is_at(FILES, ANNA)
        assert not await process.is_at(OTHER, ANNA)


async def test_whoever_wants_it_during_the_switch_waits_and_is_served(process: Process) -> None:
    async def write(n: int) -> None:
        await put(process.databases, ANNA, b"%d" % n, n)

    moving = asyncio.create_task(process.moves.move(ANNA, OTHER))
    n = 1000
    while not moving.done():
        n += 1
        await write(n)
    await moving
    there = await frames(process.databases, ANNA)
    assert [b"%d" % each for each in range(1001, n + 1)] == there[7:]


async def test_a_compaction_meanwhile_is_moved_too(process: Process) -> None:
    """Runs are dropped and shortened while the log is being copied, behind where the copy is."""

    async def compact() -> None:
        async with process.databases.lease(ANNA) as db:
            await db.batch(
                [
                    Statement("DELETE FROM runs WHERE seq IN (1, 4)"),
                    Statement("UPDATE runs SET frame = ?, partial = 1 WHERE seq = 2", (b"shorter",)),
                    Statement("UPDATE base SET compacted_to = 4, dropped_bytes = 9"),
                ]
            )

    compacting: list[asyncio.Task[None]] = []

    def tell(_what: str, done: int, _total: int | None) -> None:
        if done >= 6 and not compacting:
            compacting.append(asyncio.create_task(compact()))

    moved = await process.moves.move(ANNA, OTHER, tell)
    await compacting[0]
    after = await state(process)
    assert after.counts["runs"] == 5
    assert moved.rows == 9
    assert b"shorter" in await frames(process.databases, ANNA)


async def test_a_log_with_new_hashes_is_not_taken_for_the_copied_one(tmp_path: Path, kind: str) -> None:
    """Between an interruption and the next attempt the log began a new epoch: no length has changed."""
    until = End()
    async with two_places(tmp_path, kind, until) as process:
        await begin(process)

        def tell(_what: str, done: int, _total: int | None) -> None:
            if done == 7:
                until.at = until.steps + 2

        with pytest.raises(Crashed):
            await process.moves.move(ANNA, OTHER, tell)
    async with two_places(tmp_path, kind) as process:
        async with process.databases.lease(ANNA) as db:
            await db.batch([Statement("UPDATE runs SET log = ?", (b"h" * 32,))])
        before = await state(process)
        assert (await process.moves.move(ANNA, OTHER)).root == before.root
        assert await state(process) == before


async def test_a_copy_that_had_its_owner_already_is_nobody_s_again(tmp_path: Path, kind: str) -> None:
    """The process ends between the owner's row and the switch; then the log begins a new epoch."""
    for at in range(1, MOST_STEPS):
        data, until = tmp_path / str(at), End()
        async with two_places(data, kind, until) as process:
            await begin(process, runs=1)
            until.at, until.after, until.steps = at, True, 0
            with suppress(Crashed):
                await process.moves.move(ANNA, OTHER)
        async with two_places(data, kind) as process:
            there = await process.is_at(OTHER, ANNA)
            if (await process.registry.place(ANNA)).moving_to is None:
                break
            if not there or not await owner_rows(process, OTHER):
                continue
            async with process.databases.lease(ANNA) as db:
                await db.batch([Statement("UPDATE account SET epoch = 8")])
            before = await state(process)
            assert (await process.moves.move(ANNA, OTHER)).root == before.root
            assert await state(process) == before
            return
    raise AssertionError("no end lies there")


async def test_to_its_own_place_gives_a_move_up(tmp_path: Path, kind: str) -> None:
    until = End()
    async with two_places(tmp_path, kind, until) as process:
        await begin(process)
        until.at = until.steps + 8
        with pytest.raises(Crashed):
            await process.moves.move(ANNA, OTHER)
    async with two_places(tmp_path, kind) as process:
        assert await process.is_at(OTHER, ANNA)
        assert (await process.moves.move(ANNA, FILES)).rows == 0
        assert (await process.registry.place(ANNA))[:3] == (FILES, None, None)
        assert not await process.is_at(OTHER, ANNA)
        assert len(await frames(process.databases, ANNA)) == 7


async def test_what_cannot_be_is_named_and_changes_nothing(process: Process) -> None:
    before = await process.registry.place(ANNA)
    with pytest.raises(EcholiaError, match="home_unknown"):
        await process.moves.move(ANNA, "nowhere")
    with pytest.raises(DatabaseMissing):
        await process.moves.move(BEN, OTHER)
    await process.homes[OTHER].real.create(ANNA, [belongs_to(ANNA)])
    with pytest.raises(DatabaseExists):
        await process.moves.move(ANNA, OTHER)
    assert await process.registry.place(ANNA) == before
    assert await owner_rows(process, OTHER) == 1


async def test_one_move_at_a_time(process: Process) -> None:
    moving = asyncio.create_task(process.moves.move(ANNA, OTHER))
    await asyncio.sleep(0)
    with pytest.raises(DatabaseBusy):
        await process.moves.move(ANNA, OTHER)
    await moving


async def test_a_blocked_one_is_moved_and_stays_blocked(process: Process) -> None:
    before = await state(process)
    await process.operator.block(ANNA.hex(), True)
    assert (await process.moves.move(ANNA, OTHER)).root == before.root
    with pytest.raises(EcholiaError, match="database_blocked"):
        await frames(process.databases, ANNA)
    await process.operator.block(ANNA.hex(), False)
    assert await state(process) == before


@pytest.mark.parametrize("rows", [0, 3, 6])
async def test_a_deletion_ends_a_move_and_leaves_nothing_anywhere(process: Process, rows: int) -> None:
    deleting: list[asyncio.Task[None]] = []

    def tell(_what: str, done: int, _total: int | None) -> None:
        if done >= rows and not deleting:
            deleting.append(asyncio.create_task(process.databases.delete(ANNA)))

    with pytest.raises(DatabaseMissing):
        await process.moves.move(ANNA, OTHER, tell)
    await deleting[0]
    assert not await process.is_at(FILES, ANNA)
    assert not await process.is_at(OTHER, ANNA)
    with pytest.raises(DatabaseMissing):
        await process.registry.place(ANNA)


async def test_a_cancelled_move_goes_on_later(process: Process) -> None:
    before = await state(process)
    for ticks in range(0, 200, 7):
        moving = asyncio.create_task(process.moves.move(ANNA, OTHER))
        for _ in range(ticks):
            await asyncio.sleep(0)
        moving.cancel()
        await asyncio.wait({moving})
        assert await state(process) == before
    await process.moves.move(ANNA, OTHER)
    assert await state(process) == before
