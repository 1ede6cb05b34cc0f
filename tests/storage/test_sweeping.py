"""The sweep: a few first, then all, none of them in anybody's way, and stopped where too many fail."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from echolia.storage.databases import UserDatabases
from echolia.storage.engine import DatabaseBusy, DatabaseMissing, Statement, StorageError
from echolia.storage.migrate import load_migrations
from echolia.storage.registry import Place
from echolia.storage.reserve import Reserve
from echolia.storage.sweeping import AT_ONCE, IN_A_ROW, Pace, Progress, Sweep
from echolia.storage.upgrades import CANARY_LEAST
from tests.storage.conftest import frames, put
from tests.support.counting_driver import CountingDriver
from tests.support.file_databases import file_databases
from tests.support.fleet import EXPANDING, PICKY, SURPRISE, Fleet, fleet_of, steps_with

RELEASED = load_migrations("user")
LATEST = len(RELEASED)
_UNDONE = Statement("DROP TABLE surprise")


@asynccontextmanager
async def swept(
    folder: Path, count: int, *further: str
) -> AsyncIterator[tuple[Fleet, UserDatabases, CountingDriver]]:
    """So many accounts of the released version under code with further steps, two open at most."""
    async with fleet_of(folder, count, RELEASED) as fleet:
        driver = CountingDriver()
        databases = fleet.databases(steps_with(*further), 2, driver)
        await databases.sweep()
        yield fleet, databases, driver
        await databases.close()
        await driver.close()


async def behind(fleet: Fleet, version: int) -> list[bytes]:
    """The accounts whose databases have another version than this."""
    return [account for account in fleet.accounts if await fleet.version(account) != version]


async def test_all_are_migrated_and_none_stays_open(tmp_path: Path) -> None:
    async with swept(tmp_path, 30, EXPANDING) as (fleet, databases, driver):
        sweep = Sweep(databases)
        assert (await sweep.status()).behind == 30
        assert await sweep.once() == 0
        assert await sweep.status() == Progress(LATEST + 1, 0, 0, 30, 0, CANARY_LEAST, None, {})
        await databases.close()
        assert driver.now.total() == 0
        assert driver.names[:CANARY_LEAST] == [account.hex() for account in fleet.accounts[:CANARY_LEAST]]
        assert 1 < driver.most <= AT_ONCE
        assert await behind(fleet, LATEST + 1) == []
        assert await fleet.registry.tally(LATEST + 1) == (0, 0)
        assert databases.upgrades.migrated_total == 30


async def test_no_hot_database_loses_its_place(tmp_path: Path) -> None:
    async with swept(tmp_path, 30, EXPANDING) as (fleet, databases, driver):
        hot = fleet.accounts[-2:]
        for account in hot:
            await frames(databases, account)
        driver.names.clear()
        await Sweep(databases).once()
        assert databases.stats().evicted_total == 0
        for account in hot:
            await frames(databases, account)
        assert len(driver.names) == len(set(driver.names)) == 28  # the hot ones were never opened again
        assert databases.open_count == 2


async def test_who_comes_while_it_is_swept_shares_it_and_keeps_it(tmp_path: Path) -> None:
    async with swept(tmp_path, 12, EXPANDING) as (fleet, databases, driver):
        account = fleet.accounts[0]
        upgrading = asyncio.create_task(databases.upgrade(account))
        await asyncio.sleep(0)
        await put(databases, account, b"meanwhile")
        await upgrading
        assert (driver.names, databases.open_count) == ([account.hex()], 1)
        assert await frames(databases, account) == [b"meanwhile"]
        assert driver.names == [account.hex()]


async def test_a_bad_migration_stops_in_the_canary_and_the_rest_is_served(tmp_path: Path) -> None:
    async with swept(tmp_path, 40, PICKY) as (fleet, databases, driver):
        for odd in fleet.accounts:
            await fleet.run(odd, SURPRISE)
        sweep = Sweep(databases)
        await sweep.once()
        status = await sweep.status()
        assert (status.paused, status.tried, status.failed, status.quarantined) == ("canary", 2, 2, 2)
        assert (status.behind, status.canary) == (38, CANARY_LEAST)
        opened = len(driver.names)
        await sweep.once()
        assert len(driver.names) == opened
        for account in fleet.accounts[2:]:
            await put(databases, account, b"served")
        for account in fleet.accounts[:2]:
            with pytest.raises(StorageError, match="database_quarantined"):
                await frames(databases, account)


async def test_a_few_that_fail_are_left_alone_and_the_others_go_on(tmp_path: Path) -> None:
    async with swept(tmp_path, 60, PICKY) as (fleet, databases, _):
        odd = [fleet.accounts[5], fleet.accounts[30]]
        for account in odd:
            await fleet.run(account, SURPRISE)
        sweep = Sweep(databases)
        assert await sweep.once() == 0
        status = await sweep.status()
        assert (status.behind, status.quarantined, status.failed, status.paused) == (0, 2, 2, None)
        assert await sweep.failed() == [(account, LATEST, "storage_failed") for account in odd]
        assert await sweep.failed(1, odd[0]) == [(odd[1], LATEST, "storage_failed")]
        await fleet.run(odd[0], _UNDONE)
        assert await sweep.retry() == 2
        await sweep.once()
        assert [each.account for each in await sweep.failed()] == odd[1:]
        await fleet.run(odd[1], _UNDONE)
        await sweep.one(odd[1])
        assert (await sweep.status()).quarantined == 0
        await databases.close()
        assert await behind(fleet, LATEST + 1) == []


async def test_what_cannot_be_reached_is_tried_again(tmp_path: Path) -> None:
    async with swept(tmp_path, 30, EXPANDING) as (fleet, databases, driver):
        away = {account.hex(): DatabaseBusy("SQLITE_BUSY") for account in fleet.accounts[3:6]}
        driver.failing = {**away, fleet.accounts[20].hex(): DatabaseMissing()}
        sweep = Sweep(databases)
        assert await sweep.once() == 4
        status = await sweep.status()
        assert (status.behind, status.quarantined, status.failed) == (4, 0, 0)
        assert status.waiting == {"storage_busy": 3, "storage_missing": 1}
        driver.failing = {}
        assert await sweep.once() == 0
        assert (await sweep.status()).behind == 0


async def test_where_none_can_be_reached_a_pass_ends_early(tmp_path: Path) -> None:
    async with swept(tmp_path, 40, EXPANDING) as (fleet, databases, driver):
        driver.failing = {account.hex(): DatabaseBusy("SQLITE_BUSY") for account in fleet.accounts}
        sweep = Sweep(databases)
        assert await sweep.once() == IN_A_ROW
        assert (await sweep.status()).waiting == {"storage_busy": IN_A_ROW}


async def test_a_full_disk_is_left_to_the_clients(tmp_path: Path) -> None:
    async with fleet_of(tmp_path, 20, RELEASED) as fleet:
        driver, reserve = CountingDriver(), Reserve(tmp_path, 1 << 16)
        databases = file_databases(
            fleet.folder, driver, steps_with(EXPANDING), reserve=reserve, directory=fleet.directory
        )
        await databases.sweep()
        reserve.release()
        assert await Sweep(databases).once() == IN_A_ROW
        assert driver.names == []
        reserve.hold()
        assert await Sweep(databases).once() == 0
        await databases.close()
        await driver.close()


async def test_other_code_than_theirs_touches_none_and_stops(tmp_path: Path) -> None:
    async with fleet_of(tmp_path, 30, steps_with(EXPANDING)) as fleet:
        databases = fleet.databases(steps_with("CREATE TABLE another (a);", "CREATE TABLE further (a);"))
        await databases.sweep()
        sweep = Sweep(databases)
        await sweep.once()
        status = await sweep.status()
        assert (status.paused, status.quarantined) == ("canary", 0)
        assert status.waiting == {"migration_changed": 2}
        await databases.close()
        assert await behind(fleet, LATEST + 1) == []


async def test_it_leaves_out_what_is_blocked_or_being_moved(tmp_path: Path) -> None:
    async with swept(tmp_path, 12, EXPANDING) as (fleet, databases, _):
        blocked, moving = fleet.accounts[:2]
        mark = "UPDATE databases SET {} WHERE account = ?"
        await fleet.directory.batch([Statement(mark.format("blocked = 1"), (blocked,))])
        await fleet.directory.batch([Statement(mark.format("moving_to = 'sqld'"), (moving,))])
        assert await Sweep(databases).once() == 0
        assert await fleet.registry.place(moving) == Place("files", moving_to="sqld", version=LATEST)
        await databases.close()
        assert await behind(fleet, LATEST + 1) == [blocked, moving]


async def test_it_leaves_other_processes_accounts_to_them(tmp_path: Path) -> None:
    async with swept(tmp_path, 250, EXPANDING) as (fleet, databases, driver):
        mine = [*fleet.accounts[:1], *fleet.accounts[230:240]]
        sweep = Sweep(databases)
        sweep.only(lambda account: account in mine)
        assert await sweep.once() == 0
        assert sorted(driver.names) == sorted(account.hex() for account in mine)
        assert (await sweep.status()).behind == 239


async def test_pausing_ends_a_pass_and_resuming_finishes_it(tmp_path: Path) -> None:
    async with swept(tmp_path, 40, EXPANDING) as (fleet, databases, _):
        sweep, running = Sweep(databases), Sweep(databases)
        task = asyncio.create_task(running.run(Pace()))
        async for progress in running.watch():
            if progress.tried >= CANARY_LEAST and progress.paused is None:
                await sweep.pause()
        left = await behind_of(fleet)
        assert 0 < left < 40
        assert (await sweep.status()).paused == "operator"
        await sweep.resume()
        told = [progress async for progress in running.watch()]
        assert (told[-1].behind, await behind_of(fleet)) == (0, 0)
        assert [each.behind for each in told] == sorted((each.behind for each in told), reverse=True)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def behind_of(fleet: Fleet) -> int:
    """How many the registry says are behind."""
    return (await fleet.registry.tally(LATEST + 1)).behind


async def test_cancelled_in_the_middle_it_is_gone_on_with(tmp_path: Path) -> None:
    async with swept(tmp_path, 60, EXPANDING) as (fleet, databases, _):
        seen = 0
        while await behind_of(fleet):
            enough = databases.upgrades.migrated_total + 7
            task = asyncio.create_task(Sweep(databases).once())
            while not task.done() and databases.upgrades.migrated_total < enough:  # noqa: ASYNC110
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            seen += 1
        assert seen > 2
        await databases.close()
        assert await behind(fleet, LATEST + 1) == []


async def test_it_can_be_ended_in_the_moment_in_which_it_is_wanted(tmp_path: Path) -> None:
    async with swept(tmp_path, 1) as (_, databases, _driver):
        for turns in range(6):
            sweep = Sweep(databases)
            task = asyncio.create_task(sweep.run(Pace()))
            _ = [progress async for progress in sweep.watch()]
            await asyncio.sleep(0.01)  # it rests
            await sweep.resume()
            for _turn in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            ended, _going_on = await asyncio.wait([task], timeout=20)
            assert ended


async def test_a_directory_that_fails_is_asked_again(tmp_path: Path) -> None:
    async with swept(tmp_path, 3, EXPANDING) as (fleet, databases, _):
        await fleet.directory.batch([Statement("ALTER TABLE databases RENAME TO away")])
        sweep = Sweep(databases)
        task = asyncio.create_task(sweep.run(Pace()))
        with pytest.raises(StorageError):
            [progress async for progress in sweep.watch()]
        await fleet.directory.batch([Statement("ALTER TABLE away RENAME TO databases")])
        assert [progress async for progress in sweep.watch()][-1].behind == 0
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("seed", range(4))
async def test_storms_of_clients_deletions_and_sweeps(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with swept(tmp_path, 24, EXPANDING) as (fleet, databases, driver):
        kept = list(fleet.accounts[4:])

        async def client() -> None:
            for _ in range(30):
                with suppress(DatabaseMissing):
                    await frames(databases, dice.choice(fleet.accounts))

        async def cancelled() -> None:
            for _ in range(20):
                task = asyncio.create_task(databases.upgrade(dice.choice(kept)))
                for _ in range(dice.randrange(6)):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait({task})

        async def deleting() -> None:
            for account in fleet.accounts[:4]:
                await databases.delete(account)

        sweep = Sweep(databases)
        await asyncio.gather(
            *(client() for _ in range(6)), cancelled(), cancelled(), deleting(), sweep.once()
        )
        await sweep.once()
        await databases.close()
        assert driver.now.total() == databases.open_count == 0
        assert [account for account in kept if await fleet.version(account) != LATEST + 1] == []


# --- pace ---


class Hands:
    """A clock that its sleepers turn."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def test_so_many_a_second_and_not_more_than_half_the_time() -> None:
    hands = Hands()
    pace = Pace(10, hands, hands.sleep)
    begun = []
    for work_s in (0.0, 0.0, 0.0, 0.3, 0.0):
        await pace.turn(2)
        begun.append(round(hands.now, 3))
        hands.now += work_s
        pace.ended()
    assert begun == [0.0, 0.2, 0.4, 0.6, 1.2]


async def test_without_a_pace_nothing_waits() -> None:
    hands = Hands()
    pace = Pace(0, hands, hands.sleep)
    for _ in range(5):
        await pace.turn(1)
        hands.now += 1
        pace.ended()
    assert hands.now == 5
