"""What every registry keeps: the suite runs on each of `REGISTRIES`; a further engine is one more line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from echolia.storage.directory import open_directory
from echolia.storage.engine import Database, DatabaseMissing, Statement
from echolia.storage.migrate import load_migrations
from echolia.storage.registry import (
    FIRST,
    UNFINISHED,
    Behind,
    OneHome,
    Place,
    Quarantined,
    Registry,
    SweepState,
    Tally,
)
from echolia.storage.sqlite.driver import SqliteDriver

ANNA, BERT, CARL = b"a" * 16, b"b" * 16, b"c" * 16


@asynccontextmanager
async def sqlite_directory(folder: Path) -> AsyncIterator[Database]:
    """A directory in a file."""
    driver = SqliteDriver(1)
    db = await open_directory(folder / "directory.db", driver, load_migrations("directory"))
    yield db
    await db.close()
    await driver.close()


Directory = Callable[[Path], AbstractAsyncContextManager[Database]]
REGISTRIES: Final[dict[str, Directory]] = {"sqlite": sqlite_directory}


class RegistryContract:
    """The promises of `registry.Registry` where it remembers; `directory` is that of the registry."""

    async def test_a_place_is_remembered_until_it_is_removed(self, registry: Registry) -> None:
        for account in (ANNA, BERT):
            with pytest.raises(DatabaseMissing):
                await registry.place(account)
            assert await registry.put(account, "files", 3) == Place("files", version=3)
        assert await registry.put(ANNA, "elsewhere", 9) == Place("files", version=3)
        await registry.remove(ANNA)
        await registry.remove(ANNA)
        with pytest.raises(DatabaseMissing):
            await registry.place(ANNA)
        assert await registry.place(BERT) == Place("files", version=3)

    async def test_a_migration_says_how_it_ended(self, registry: Registry) -> None:
        await registry.put(ANNA, "files")
        await registry.migrated(ANNA, 1, "storage_constraint")
        assert await registry.place(ANNA) == Place("files", version=1, failed="storage_constraint")
        await registry.migrated(ANNA, 2)
        assert await registry.place(ANNA) == Place("files", version=2)
        await registry.migrated(BERT, 2)
        with pytest.raises(DatabaseMissing):
            await registry.place(BERT)

    async def test_what_is_behind_comes_in_pages_by_version(self, registry: Registry) -> None:
        ids = [bytes([n]) * 16 for n in range(20)]
        for n, account in enumerate(ids):
            await registry.put(account, "files", n % 4)
        found, after = [], FIRST
        while page := await registry.behind(3, 4, after):
            assert len(page) <= 4
            found += page
            after = page[-1]
        assert found == sorted(Behind(n % 4, account) for n, account in enumerate(ids) if n % 4 < 3)
        assert await registry.behind(0, 4) == []

    async def test_what_has_begun_to_be_created_is_found_and_not_behind(self, registry: Registry) -> None:
        for account in (ANNA, BERT):
            await registry.put(account, "files", UNFINISHED)
        await registry.put(CARL, "files", 1)
        assert await registry.unfinished() == {ANNA: "files", BERT: "files"}
        await registry.migrated(ANNA, 2)
        await registry.remove(BERT)
        assert await registry.unfinished() == {}
        await registry.put(BERT, "files", UNFINISHED)
        assert await registry.behind(2, 9) == [(1, CARL)]
        assert await registry.tally(2) == Tally(1, 0)

    async def test_what_moves_on_meanwhile_is_in_no_later_page(self, registry: Registry) -> None:
        for account in (ANNA, BERT, CARL):
            await registry.put(account, "files", 1)
        (first,) = await registry.behind(2, 1)
        assert first == (1, ANNA)
        await registry.migrated(ANNA, 2)
        await registry.migrated(BERT, 2)
        assert await registry.behind(2, 9, first) == [(1, CARL)]

    async def test_what_is_blocked_moving_or_quarantined_is_left_alone(
        self, registry: Registry, directory: Database
    ) -> None:
        for account in (ANNA, BERT, CARL, b"d" * 16):
            await registry.put(account, "files", 1)
        await directory.batch(
            [
                Statement("UPDATE databases SET blocked = 1 WHERE account = ?", (ANNA,)),
                Statement("UPDATE databases SET moving_to = 'sqld' WHERE account = ?", (BERT,)),
            ]
        )
        await registry.migrated(CARL, 1, "storage_failed")
        assert await registry.behind(2, 9) == [(1, b"d" * 16)]
        assert await registry.tally(2) == Tally(4, 1)
        assert await registry.tally(1) == Tally(0, 1)

    async def test_a_quarantine_is_listed_and_ended(self, registry: Registry) -> None:
        for account in (ANNA, BERT, CARL):
            await registry.put(account, "files", 1)
            await registry.migrated(account, 1, "storage_failed")
        assert await registry.quarantined(2) == [Quarantined(a, 1, "storage_failed") for a in (ANNA, BERT)]
        assert await registry.quarantined(2, BERT) == [(CARL, 1, "storage_failed")]
        assert await registry.release(BERT) == 1
        assert await registry.release(BERT) == 0
        assert await registry.release() == 2
        assert await registry.quarantined(9) == []
        assert [each.account for each in await registry.behind(2, 9)] == [ANNA, BERT, CARL]


class SweepContract:
    """What is remembered of a sweep, also by who remembers no database."""

    async def test_nothing_is_remembered_at_first(self, registry: Registry) -> None:
        assert await registry.sweep() == SweepState(0)
        await registry.pause_sweep("operator")
        assert (await registry.count_sweep(3, 1, 1)).tried == 0

    async def test_what_was_put_is_counted_on(self, registry: Registry) -> None:
        await registry.put_sweep(SweepState(3, None, 10, 0, 0))
        assert await registry.count_sweep(3, 1, 0) == SweepState(3, None, 10, 1, 0)
        assert await registry.count_sweep(3, 5, 2) == SweepState(3, None, 10, 6, 2)
        assert await registry.count_sweep(4, 5, 2) == SweepState(3, None, 10, 6, 2)
        await registry.pause_sweep("canary")
        assert await registry.sweep() == SweepState(3, "canary", 10, 6, 2)
        await registry.pause_sweep(None)
        await registry.put_sweep(SweepState(4, None, 2, 0, 0))
        assert await registry.sweep() == SweepState(4, None, 2, 0, 0)


class OneHomeContract:
    """What `OneHome` promises instead: there is one place, nothing of anybody is remembered."""

    async def test_all_are_in_one_place_and_none_is_behind(self) -> None:
        registry = OneHome("attic")
        assert await registry.put(ANNA, "files", 3) == await registry.place(BERT) == Place("attic")
        await registry.migrated(ANNA, 1, "storage_failed")
        await registry.remove(ANNA)
        assert await registry.place(ANNA) == Place("attic")
        assert (await registry.behind(9, 9), await registry.quarantined(9)) == ([], [])
        assert (await registry.tally(9), await registry.release()) == (Tally(0, 0), 0)
