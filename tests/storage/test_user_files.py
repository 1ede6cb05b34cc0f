"""The files of an account's database survive a crash at any moment of their coming and going."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from echolia.storage.databases import UserDatabases
from echolia.storage.engine import DatabaseExists, DatabaseMissing, StorageError
from echolia.storage.sqlite import user_files
from tests.storage.conftest import account_id, belongs_to


def path_of(tmp_path: Path) -> Path:
    return user_files.user_path(tmp_path / "users", account_id(1))


def test_names_are_the_id_in_hex_under_its_first_byte(tmp_path: Path) -> None:
    account = bytes(range(0xF0, 0x100))
    assert user_files.user_path(tmp_path, account) == tmp_path / "f0" / "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff.db"
    assert len({user_files.user_path(tmp_path, account_id(n)) for n in range(1000)}) == 1000


def test_an_existing_database_is_left_alone(tmp_path: Path) -> None:
    path = path_of(tmp_path)
    user_files.prepare(path).write_bytes(b"database")
    user_files.publish(path)
    path.with_name(path.name + "-wal").write_bytes(b"its log")
    with pytest.raises(DatabaseExists):
        user_files.prepare(path)
    assert sorted(file.read_bytes() for file in path.parent.iterdir()) == [b"database", b"its log"]


def test_removing_is_the_same_however_often(tmp_path: Path) -> None:
    path = path_of(tmp_path)
    user_files.remove(path)
    user_files.prepare(path).write_bytes(b"database")
    user_files.publish(path)
    for log in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + log).write_bytes(b"log")
    for _ in range(2):
        user_files.remove(path)
        assert list(path.parent.iterdir()) == []


CRASHES: dict[str, Callable[[Path], list[Path]]] = {
    "while it was written": lambda path: [path.with_suffix(".new")],
    "while it was written with a log": lambda path: [
        path.with_suffix(".new"),
        path.with_name(path.stem + ".new-wal"),
    ],
    "after it lost its name": lambda path: [path.with_suffix(".gone"), path.with_name(path.name + "-wal")],
    "after its log went": lambda path: [path.with_suffix(".gone")],
}


@pytest.mark.parametrize("crash", CRASHES)
async def test_after_a_crash_there_is_none_and_it_can_be_created(
    databases: UserDatabases, tmp_path: Path, crash: str
) -> None:
    path = path_of(tmp_path)
    path.parent.mkdir(parents=True)
    for file in CRASHES[crash](path):
        file.write_bytes(b"remains")
    with pytest.raises(DatabaseMissing):
        async with databases.lease(account_id(1)):
            pass
    await databases.create(account_id(1), [belongs_to(account_id(1))])
    async with databases.lease(account_id(1)):
        pass
    await databases.drop(account_id(1))
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("crash", CRASHES)
@pytest.mark.parametrize("how", ["swept", "deleted"])
async def test_after_a_crash_all_can_be_removed(
    databases: UserDatabases, tmp_path: Path, crash: str, how: str
) -> None:
    path = path_of(tmp_path)
    path.parent.mkdir(parents=True)
    for file in CRASHES[crash](path):
        file.write_bytes(b"remains")
    if how == "swept":
        assert await databases.sweep() == 1
    else:
        await databases.delete(account_id(1))
    assert list(path.parent.iterdir()) == []
    assert await databases.sweep() == 0


async def test_sweeping_keeps_what_lives(databases: UserDatabases, tmp_path: Path) -> None:
    path = path_of(tmp_path)
    await databases.create(account_id(1), [belongs_to(account_id(1))])
    log = path.with_name(path.name + "-wal")
    log.write_bytes(b"")
    path.with_suffix(".gone").write_bytes(b"of a former life")
    assert await databases.sweep() == 1
    assert sorted(path.parent.iterdir()) == [path, log]


async def test_what_the_file_system_refuses_is_a_storage_error(
    databases: UserDatabases, tmp_path: Path
) -> None:
    (tmp_path / "users").write_bytes(b"a file where the folder should be")
    with pytest.raises(StorageError) as caught:
        await databases.create(account_id(1), [belongs_to(account_id(1))])
    assert caught.value.code in {"storage_failed", "storage_exists"}
    assert str(tmp_path) not in str(caught.value)
