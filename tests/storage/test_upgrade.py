"""Databases are migrated when they are leased; what fails is left alone, what cannot be done now waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from echolia.storage.databases import UserDatabases
from echolia.storage.engine import (
    Database,
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseMissing,
    Result,
    Statement,
    StorageError,
    StorageFull,
)
from echolia.storage.migrate import Migration, load_migrations
from echolia.storage.registry import Place, SweepState
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.upgrades import (
    CANARY_LEAST,
    CANARY_MOST,
    SERVED_SINCE,
    Upgrades,
    canary_size,
    lies_in_the_data,
)
from tests.storage.conftest import account_id, frames, put
from tests.support.file_databases import file_databases
from tests.support.fleet import EXPANDING, PICKY, SURPRISE, Fleet, fleet_of, steps_with

RELEASED = load_migrations("user")
LATEST = len(RELEASED)
NOTED = Statement("SELECT name FROM pragma_table_info('acks') WHERE name = 'note'")


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    """Three accounts of the released version."""
    async with fleet_of(tmp_path, 3, RELEASED) as fleet:
        yield fleet


async def code_of(databases: UserDatabases, account: bytes) -> str:
    """The error with which a lease is refused."""
    with pytest.raises(StorageError) as caught:
        await frames(databases, account)
    return caught.value.code


async def test_an_old_database_is_upgraded_at_its_first_lease(fleet: Fleet) -> None:
    account = fleet.accounts[0]
    old = fleet.databases(RELEASED)
    await put(old, account, b"of old")
    await old.close()
    new = fleet.databases(steps_with(EXPANDING, "CREATE TABLE later (a);\nDROP TABLE later;"))
    assert await asyncio.gather(*(frames(new, account) for _ in range(5))) == [[b"of old"]] * 5
    async with new.lease(account) as database:
        assert (await database.batch([NOTED]))[0].rows == [("note",)]
    await new.close()
    assert await fleet.version(account) == LATEST + 2
    assert [(await fleet.registry.place(each)).version for each in fleet.accounts] == [
        LATEST + 2,
        LATEST,
        LATEST,
    ]
    assert await code_of(fleet.databases(RELEASED), account) == "migration_ahead"
    assert (await fleet.registry.place(account)).failed is None


async def test_a_new_database_is_known_to_be_of_the_last_version(fleet: Fleet) -> None:
    assert (await fleet.registry.tally(LATEST)).behind == 0
    assert await fleet.registry.place(fleet.accounts[0]) == Place("files", version=LATEST)


async def test_what_fails_for_what_is_in_it_is_left_alone_and_harms_no_other(fleet: Fleet) -> None:
    sound, odd, _ = fleet.accounts
    await fleet.run(odd, SURPRISE)
    steps = steps_with(PICKY)
    new = fleet.databases(steps)
    assert await frames(new, sound) == []
    for _ in range(2):
        assert await code_of(new, odd) == "database_quarantined"
    await new.close()
    assert await fleet.run(odd, Statement("SELECT name FROM sqlite_schema WHERE name = 'fine'")) == []
    assert await fleet.registry.place(odd) == Place("files", version=LATEST, failed="storage_failed")
    await fleet.run(odd, Statement("DROP TABLE surprise"))
    later = fleet.databases(steps)
    assert await code_of(later, odd) == "database_quarantined"
    await fleet.registry.release(odd)
    assert await frames(later, odd) == []
    assert await fleet.registry.place(odd) == Place("files", version=LATEST + 1)
    await later.close()


async def test_of_several_steps_those_before_the_failing_one_stay(fleet: Fleet) -> None:
    odd = fleet.accounts[0]
    await fleet.run(odd, SURPRISE)
    new = fleet.databases(steps_with(EXPANDING, PICKY))
    assert await code_of(new, odd) == "database_quarantined"
    await new.close()
    assert await fleet.version(odd) == LATEST + 1
    assert await fleet.registry.place(odd) == Place("files", version=LATEST + 1, failed="storage_failed")


class Unwilling(SqliteDriver):
    """A driver that fails so long as it is told to where a step is applied."""

    failure: StorageError | None = None

    async def open(self, path: Path, create: bool = False, *, cache_kib: int | None = None) -> Database:
        return UnwillingDatabase(await super().open(path, create, cache_kib=cache_kib), self)


class UnwillingDatabase:
    """A database of it."""

    def __init__(self, db: Database, driver: Unwilling) -> None:
        self._db = db
        self._driver = driver

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        if self._driver.failure and "INSERT INTO schema_migrations" in statements[-1].sql:
            raise self._driver.failure
        return await self._db.batch(statements, tx)

    async def snapshot(self, path: Path) -> None:
        await self._db.snapshot(path)

    async def reclaim(self) -> None:
        await self._db.reclaim()

    async def close(self) -> None:
        await self._db.close()


@pytest.mark.parametrize(
    "failure",
    [
        StorageFull("SQLITE_FULL"),
        DatabaseBusy("SQLITE_BUSY"),
        StorageError("SQLITE_INTERRUPT"),
        StorageError(),
    ],
)
async def test_what_cannot_be_done_now_waits_at_the_version_that_is_served(
    fleet: Fleet, failure: StorageError
) -> None:
    driver, account = Unwilling(1), fleet.accounts[0]
    new = fleet.databases(steps_with(EXPANDING), driver=driver)
    driver.failure = failure
    assert await frames(new, account) == []
    assert await fleet.registry.place(account) == Place("files", version=LATEST)
    with pytest.raises(type(failure)):
        await new.upgrade(account)
    driver.failure = None
    await new.upgrade(account)
    async with new.lease(account) as database:
        assert (await database.batch([NOTED]))[0].rows == [("note",)]
    assert await fleet.registry.place(account) == Place("files", version=LATEST + 1)
    await new.close()
    await driver.close()


async def test_what_the_code_does_not_serve_fails_until_it_can_be_done(tmp_path: Path) -> None:
    driver = Unwilling(1)
    async with fleet_of(tmp_path, 1, RELEASED[: SERVED_SINCE - 1]) as fleet:
        new = fleet.databases(RELEASED, driver=driver)
        driver.failure = DatabaseBusy("SQLITE_BUSY")
        assert await code_of(new, fleet.accounts[0]) == "storage_busy"
        driver.failure = None
        assert await frames(new, fleet.accounts[0]) == []
        await new.close()
    await driver.close()


@pytest.mark.parametrize(
    ("failure", "lies"),
    [
        (StorageError("SQLITE_CONSTRAINT_UNIQUE", code="storage_constraint"), True),
        (StorageError("constraint", code="storage_constraint"), True),
        (StorageError("SQLITE_ERROR"), True),
        (DatabaseDamaged("SQLITE_CORRUPT_VTAB"), True),
        (DatabaseDamaged("SQLITE_IOERR_READ"), False),
        (DatabaseMissing(), False),
        (StorageFull("SQLITE_FULL"), False),
        (StorageFull("SQLITE_IOERR_WRITE"), False),
        (DatabaseBusy("SQLITE_BUSY"), False),
        (StorageError("SQLITE_NOMEM"), False),
        (StorageError("closed"), False),
        (StorageError(code="home_unknown"), False),
    ],
)
def test_only_what_would_fail_again_is_held_against_a_database(failure: StorageError, lies: bool) -> None:
    assert lies_in_the_data(failure) is lies


# --- paused ---


async def test_while_paused_a_lease_leaves_it_as_it_is_and_resuming_goes_on(fleet: Fleet) -> None:
    steps = steps_with(EXPANDING)
    first, second, third = fleet.accounts
    new = fleet.databases(steps)
    await new.sweep()
    await new.upgrades.pause("operator")
    for account in (first, second):
        await put(new, account, b"while paused")
    await new.upgrade(first)
    assert await fleet.registry.place(first) == Place("files", version=LATEST)
    await new.close()
    assert await fleet.version(first) == LATEST
    restarted = fleet.databases(steps)
    await restarted.sweep()
    assert await frames(restarted, first) == [b"while paused"]
    assert await fleet.registry.place(first) == Place("files", version=LATEST)
    await restarted.upgrade(second, forced=True)
    await restarted.upgrades.pause(None)
    assert await frames(restarted, third) == []
    async with restarted.lease(first) as database:  # open since before, and served as it is
        assert (await database.batch([NOTED]))[0].rows == []
        await restarted.upgrade(first)
        assert (await database.batch([NOTED]))[0].rows == [("note",)]
    for account in fleet.accounts:
        assert await fleet.registry.place(account) == Place("files", version=LATEST + 1)
    await restarted.close()


async def test_while_paused_what_is_too_old_is_brought_to_what_is_served(tmp_path: Path) -> None:
    async with fleet_of(tmp_path, 1, RELEASED[: SERVED_SINCE - 1]) as fleet:
        new = fleet.databases(steps_with(EXPANDING))
        await new.sweep()
        await new.upgrades.pause("operator")
        assert await frames(new, fleet.accounts[0]) == []
        await new.close()
        assert await fleet.version(fleet.accounts[0]) == SERVED_SINCE


async def test_while_paused_whoever_needs_a_later_version_gets_it(tmp_path: Path) -> None:
    async with fleet_of(tmp_path, 1, RELEASED) as fleet:
        new = fleet.databases(steps_with(EXPANDING, PICKY))
        await new.sweep()
        await new.upgrades.pause("operator")
        new.upgrades.served_since = LATEST + 1
        assert await frames(new, fleet.accounts[0]) == []
        await new.close()
        assert await fleet.version(fleet.accounts[0]) == LATEST + 1


async def test_one_that_is_open_and_fails_is_closed_for_its_users(fleet: Fleet) -> None:
    odd = fleet.accounts[0]
    await fleet.run(odd, SURPRISE)
    new = fleet.databases(steps_with(PICKY))
    await new.sweep()
    await new.upgrades.pause("operator")
    async with new.lease(odd) as database:
        await new.upgrades.pause(None)
        with pytest.raises(StorageError, match="database_quarantined"):
            await new.upgrade(odd)
        await database.batch([Statement("SELECT 1")])  # who was in goes on
    await new.drop(odd)
    assert await code_of(new, odd) == "database_quarantined"
    await new.close()


async def test_two_at_once_apply_a_step_once(fleet: Fleet) -> None:
    new = fleet.databases(steps_with(EXPANDING))
    account = fleet.accounts[0]
    await new.sweep()
    await new.upgrades.pause("operator")
    async with new.lease(account):
        await new.upgrades.pause(None)
        await asyncio.gather(*(new.upgrade(account) for _ in range(5)))
    await new.close()
    assert await fleet.version(account) == LATEST + 1


# --- what is remembered ---


@pytest.mark.parametrize(
    ("behind", "size"),
    [(0, 0), (3, 3), (CANARY_LEAST, 10), (500, 10), (5000, 50), (10_000_000, CANARY_MOST)],
)
def test_the_canary_is_a_hundredth_within_bounds(behind: int, size: int) -> None:
    assert canary_size(behind) == size


async def test_a_migration_to_another_version_begins_anew_but_an_operators_pause_stays(fleet: Fleet) -> None:
    registry = fleet.registry
    for paused, kept in (("canary", None), ("operator", "operator"), (None, None)):
        await registry.put_sweep(SweepState(LATEST - 1, paused, 5, 5, 4))
        upgrades = Upgrades(registry, RELEASED)
        await upgrades.begin()
        assert upgrades.state == await registry.sweep() == SweepState(LATEST, kept, 0, 0, 0)


async def test_what_was_counted_goes_on_after_a_restart(fleet: Fleet) -> None:
    state = SweepState(LATEST, "canary", 10, 7, 2)
    await fleet.registry.put_sweep(state)
    upgrades = Upgrades(fleet.registry, RELEASED)
    await upgrades.begin()
    assert (upgrades.state, upgrades.in_canary) == (state, True)
    await upgrades.pause(None)
    assert upgrades.state == SweepState(LATEST, None, 0, 0, 0)  # nothing is behind


async def test_going_on_begins_a_new_canary_where_too_many_had_failed(fleet: Fleet) -> None:
    for paused, failed, kept in (("canary", 3, 0), ("operator", 3, 0), ("operator", 1, 20)):
        await fleet.registry.put_sweep(SweepState(LATEST, paused, 10, 20, failed))
        upgrades = Upgrades(fleet.registry, RELEASED)
        await upgrades.begin()
        await upgrades.pause(None)
        assert (upgrades.state.paused, upgrades.state.tried) == (None, kept)


async def test_leases_that_fail_pause_it_as_well(tmp_path: Path) -> None:
    async with fleet_of(tmp_path, 4, RELEASED) as fleet:
        for odd in fleet.accounts[:3]:
            await fleet.run(odd, SURPRISE)
        new = fleet.databases(steps_with(PICKY))
        await new.sweep()
        assert await code_of(new, fleet.accounts[0]) == "database_quarantined"
        assert new.upgrades.state.paused == "canary"
        for spared in fleet.accounts[1:]:
            assert await frames(new, spared) == []
        await new.close()


async def test_without_a_directory_nothing_is_remembered_and_each_lease_tries_again(
    driver: SqliteDriver, tmp_path: Path
) -> None:
    async with fleet_of(tmp_path, 1, RELEASED) as fleet:
        odd = fleet.accounts[0]
        await fleet.run(odd, SURPRISE)
        alone = file_databases(fleet.folder, driver, steps_with(PICKY))
        assert await code_of(alone, odd) == "database_quarantined"
        await fleet.run(odd, Statement("DROP TABLE surprise"))
        assert await frames(alone, odd) == []
        await alone.close()


async def test_another_releases_counts_are_not_taken_for_ones_own(fleet: Fleet) -> None:
    steps: list[Migration] = steps_with(EXPANDING)
    new = fleet.databases(steps)
    await new.sweep()
    others = SweepState(LATEST + 7, "operator", 1, 1, 1)
    await fleet.registry.put_sweep(others)
    assert await frames(new, account_id(1)) == []
    await new.upgrades.look()
    assert (new.upgrades.state.paused, await fleet.registry.sweep()) == (None, others)
    await new.close()
