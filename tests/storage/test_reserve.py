"""The reserve of a full disk: taken up where there is room, given up for small work, closed to growth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from echolia.storage.engine import PlaceFull, Result, Statement, StorageError, StorageFull
from echolia.storage.reserve import Reserve, SparedDatabase
from echolia.storage.sqlite.driver import SqliteDriver
from tests.storage.conftest import account_id, belongs_to
from tests.support.file_databases import file_databases

SIZE = 100_000


class FullDatabase:
    """A database on a disk that is full until the reserve's file is gone."""

    def __init__(self, folder: Path, *, hopeless: bool = False) -> None:
        self.folder = folder
        self.hopeless = hopeless
        self.tried = 0

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        self.tried += 1
        if self.hopeless or (self.folder / "reserve").exists():
            raise StorageFull("SQLITE_FULL")
        return []

    async def snapshot(self, path: Path) -> None:
        raise AssertionError("nobody asks for it")

    async def reclaim(self) -> None:
        raise AssertionError("nobody asks for it")

    async def close(self) -> None:
        """Nothing to close."""


def test_it_is_made_once_and_kept(tmp_path: Path) -> None:
    Reserve(tmp_path, SIZE).hold()
    file = tmp_path / "reserve"
    assert (file.stat().st_size, file.stat().st_mode & 0o777) == (SIZE, 0o600)
    assert file.stat().st_blocks * 512 >= SIZE
    made = file.stat().st_ino
    again = Reserve(tmp_path, SIZE)
    again.hold()
    assert (file.stat().st_ino, again.released) == (made, False)


@pytest.mark.parametrize("size", [SIZE // 2, 2 * SIZE, 0])
def test_another_size_replaces_it(tmp_path: Path, size: int) -> None:
    Reserve(tmp_path, SIZE).hold()
    reserve = Reserve(tmp_path, size)
    reserve.hold()
    file = tmp_path / "reserve"
    assert (file.stat().st_size if file.exists() else 0) == size
    reserve.refuse_growth()


def test_once_there_is_room_it_is_taken_up_again(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, SIZE)
    reserve.hold()
    reserve.release()
    assert (reserve.released, list(tmp_path.iterdir())) == (True, [])
    with pytest.raises(StorageFull):
        reserve.refuse_growth()
    reserve.hold()
    reserve.refuse_growth()
    assert (tmp_path / "reserve").stat().st_size == SIZE


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        Reserve(tmp_path / "absent", SIZE).hold()
    assert caught.value.code == "storage_missing"


async def test_small_work_is_done_again_with_its_room(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, SIZE)
    reserve.hold()
    full = FullDatabase(tmp_path)
    assert await SparedDatabase(full, reserve).batch([]) == []
    assert (full.tried, reserve.released) == (2, True)


async def test_a_disk_that_stays_full_is_told_after_one_more_try(tmp_path: Path) -> None:
    for size, tries in ((SIZE, 2), (0, 1)):
        full = FullDatabase(tmp_path, hopeless=True)
        with pytest.raises(StorageFull):
            await SparedDatabase(full, Reserve(tmp_path, size)).batch([])
        assert full.tried == tries


async def test_what_is_no_lack_of_room_releases_nothing(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, SIZE)
    reserve.hold()

    async def fails() -> None:
        raise StorageError("SQLITE_ERROR")

    with pytest.raises(StorageError):
        await reserve.spared(fails)
    assert (tmp_path / "reserve").exists()


async def test_another_machines_full_disk_releases_nothing(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, SIZE)
    reserve.hold()

    async def write() -> None:
        raise PlaceFull("SQLITE_FULL")

    with pytest.raises(StorageFull):
        await reserve.spared(write)
    assert not reserve.released
    reserve.refuse_growth()


async def test_while_it_is_released_databases_are_used_but_neither_grow_nor_come(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, SIZE)
    driver = SqliteDriver(1)
    databases = file_databases(tmp_path / "users", driver, reserve=reserve)
    await databases.create(account_id(1), [belongs_to(account_id(1))])
    reserve.release()
    async with databases.lease(account_id(1)) as database:
        assert len(await database.batch([Statement("UPDATE account SET epoch = 5")])) == 1
        with pytest.raises(StorageFull):
            await database.grow([Statement("UPDATE account SET epoch = 6")])
        assert (await database.batch([Statement("SELECT epoch FROM account")]))[0].rows == [(5,)]
    with pytest.raises(StorageFull):
        await databases.create(account_id(2), [belongs_to(account_id(2))])
    await databases.delete(account_id(1))
    reserve.hold()
    await databases.create(account_id(2), [belongs_to(account_id(2))])
    await databases.close()
    await driver.close()
