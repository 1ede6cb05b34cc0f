"""Snapshots are whole, sealed, of one account, and unreadable once it is deleted, wherever copies are."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from echolia.core.errors import EcholiaError
from echolia.storage.data_keys import data_key
from echolia.storage.databases import FILES
from echolia.storage.engine import Database, DatabaseDamaged, DatabaseExists, DatabaseMissing, Statement
from echolia.storage.operating.service import Events
from echolia.storage.sqlite.user_files import user_path
from tests.simulator.crashes import Crashed
from tests.storage.conftest import account_id, belongs_to, files, frames, put
from tests.support.two_places import OTHER, End, Process, two_places

ANNA, BEN = account_id(1), account_id(2)
NAME = "2026-11-18T110640.123Z.sealed"


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    """A process with two accounts."""
    async with two_places(tmp_path) as process:
        for account in (ANNA, BEN):
            await register(process, account)
        yield process


async def register(process: Process, account: bytes) -> None:
    """An account that the directory knows, with a run."""
    row = Statement(
        "INSERT INTO accounts (account, created_ms, log_length, log_head) VALUES (?, 0, 1, x'')", (account,)
    )
    await process.directory.batch([row])
    await process.databases.create(account, [belongs_to(account)])
    await put(process.databases, account, b"canary of " + account)


async def result(events: Events) -> Any:
    """What long work ends with."""
    told = [event async for event in events]
    assert all("result" not in event for event in told[:-1])
    return told[-1]["result"]


async def taken(process: Process, account: bytes = ANNA) -> str:
    """A snapshot's name."""
    return str((await result(process.operator.snapshot(account.hex())))["name"])


async def restored(process: Process, what: str | Path, account: bytes = ANNA, *, replace: bool = True) -> Any:
    """What restoring says."""
    is_file = isinstance(what, Path)
    return await result(process.operator.restore(account.hex(), str(what), is_file, replace))


async def epoch(process: Process, account: bytes = ANNA) -> object:
    """The epoch of the account's log."""
    async with process.databases.lease(account) as db:
        return (await db.batch([Statement("SELECT epoch FROM account")]))[0].rows[0][0]


async def test_a_snapshot_is_sealed_and_nothing_else_stays(process: Process, tmp_path: Path) -> None:
    assert await taken(process) == NAME
    folder = f"snapshots/{ANNA.hex()[:2]}/{ANNA.hex()}"
    assert [name for name in files(tmp_path) if name.startswith("snapshots")] == [f"{folder}/{NAME}"]
    content = (tmp_path / folder / NAME).read_bytes()
    assert b"canary" not in content and b"SQLite" not in content
    assert (await process.operator.snapshots.listed(ANNA))[0].bytes == len(content)


async def test_two_of_one_moment_have_two_names(process: Process) -> None:
    assert await taken(process) == NAME
    assert await taken(process) == "2026-11-18T110640.124Z.sealed"


async def test_the_key_is_made_once_and_is_the_account_s_own(process: Process) -> None:
    assert not await process.operator.snapshots.has_key(ANNA)
    await taken(process)
    key = await data_key(process.directory, ANNA)
    await taken(process)
    await taken(process, BEN)
    assert key == await data_key(process.directory, ANNA) != await data_key(process.directory, BEN)
    assert len(key or b"") == 32


async def test_what_was_restored_is_as_it_was_in_a_new_epoch(process: Process) -> None:
    name, former = await taken(process), await epoch(process)
    await put(process.databases, ANNA, b"later", 2)
    said = await restored(process, name)
    assert said["former"] == "2026-11-18T110640.124Z.sealed"
    assert await frames(process.databases, ANNA) == [b"canary of " + ANNA]
    assert await epoch(process) != former
    await restored(process, said["former"])
    assert await frames(process.databases, ANNA) == [b"canary of " + ANNA, b"later"]


async def test_nothing_is_replaced_unless_it_is_said(process: Process) -> None:
    name = await taken(process)
    await put(process.databases, ANNA, b"later", 2)
    with pytest.raises(DatabaseExists):
        await restored(process, name, replace=False)
    assert len(await frames(process.databases, ANNA)) == 2


async def test_a_lost_database_comes_back_without_a_word(process: Process) -> None:
    name = await taken(process)
    await process.databases.drop(ANNA)
    await process.homes[FILES].real.delete(ANNA)
    assert (await restored(process, name, replace=False))["former"] is None
    assert len(await frames(process.databases, ANNA)) == 1


async def test_a_damaged_database_is_replaced(process: Process, tmp_path: Path) -> None:
    name = await taken(process)
    await process.databases.drop(ANNA)
    next((tmp_path / "users").rglob(f"{ANNA.hex()}.db")).write_bytes(b"no database" * 999)
    assert (await restored(process, name))["former"] is None
    assert len(await frames(process.databases, ANNA)) == 1


async def test_one_whose_upgrade_failed_is_kept_and_replaced(process: Process) -> None:
    name = await taken(process)
    await put(process.databases, ANNA, b"later", 2)
    await process.databases.drop(ANNA)
    await process.registry.migrated(ANNA, 1, "storage_constraint")
    former = (await restored(process, name))["former"]
    assert await frames(process.databases, ANNA) == [b"canary of " + ANNA]
    await restored(process, former)
    assert len(await frames(process.databases, ANNA)) == 2


async def test_another_s_database_in_its_place_is_not_kept_as_its_own(
    process: Process, tmp_path: Path
) -> None:
    name = await taken(process)
    for account in (ANNA, BEN):
        await process.databases.drop(account)
    anna, ben = (user_path(tmp_path / "users", account) for account in (ANNA, BEN))
    shutil.copy(ben, anna)
    assert (await restored(process, name))["former"] is None
    assert await frames(process.databases, ANNA) == [b"canary of " + ANNA]


async def test_a_blocked_one_is_restored_and_stays_blocked(process: Process) -> None:
    name = await taken(process)
    await process.operator.block(ANNA.hex(), True)
    assert (await restored(process, name))["former"]
    with pytest.raises(EcholiaError, match="database_blocked"):
        await frames(process.databases, ANNA)
    await process.operator.block(ANNA.hex(), False)
    assert len(await frames(process.databases, ANNA)) == 1


async def test_another_s_snapshot_is_refused(process: Process, tmp_path: Path) -> None:
    await taken(process)
    bens = await taken(process, BEN)
    folder = process.operator.snapshots.folder_of
    for what in (folder(BEN) / bens, f"../{BEN.hex()}/{bens}", "nothing.sealed", "nothing"):
        with pytest.raises(EcholiaError, match="snapshot_invalid"):
            await restored(process, what)
    shutil.copy(folder(BEN) / bens, folder(ANNA) / "2026-01-01T000000.000Z.sealed")
    with pytest.raises(EcholiaError, match="snapshot_invalid"):
        await restored(process, "2026-01-01T000000.000Z.sealed")
    assert await frames(process.databases, ANNA) == [b"canary of " + ANNA]


async def test_another_s_export_is_refused(process: Process, tmp_path: Path) -> None:
    await result(process.operator.export(BEN.hex(), str(tmp_path / "ben.db")))
    with pytest.raises(DatabaseDamaged):
        await restored(process, tmp_path / "ben.db")
    (tmp_path / "nonsense").write_bytes(b"nonsense" * 999)
    with pytest.raises(DatabaseDamaged):
        await restored(process, tmp_path / "nonsense")
    assert await frames(process.databases, ANNA) == [b"canary of " + ANNA]
    assert not [name for name in files(tmp_path) if name.endswith("plain")]


async def test_an_export_is_a_plain_file_and_comes_back(process: Process, tmp_path: Path) -> None:
    file = tmp_path / "anna.db"
    await result(process.operator.export(ANNA.hex(), str(file)))
    with sqlite3.connect(file) as plain:
        assert plain.execute("SELECT frame FROM runs").fetchall() == [(b"canary of " + ANNA,)]
    plain.close()
    before = file.read_bytes()
    with pytest.raises(DatabaseExists):
        await result(process.operator.export(ANNA.hex(), str(file)))
    await put(process.databases, ANNA, b"later", 2)
    await restored(process, file)
    assert len(await frames(process.databases, ANNA)) == 1
    assert file.read_bytes() == before


async def test_a_copy_of_a_deleted_account_s_snapshot_cannot_be_read(
    process: Process, tmp_path: Path
) -> None:
    name = await taken(process)
    shutil.copy(process.operator.snapshots.folder_of(ANNA) / name, tmp_path / "kept elsewhere")
    await process.databases.delete(ANNA)
    assert await data_key(process.directory, ANNA) is None
    assert not [name for name in files(tmp_path) if name.startswith("snapshots")]
    await register_again(process)
    for _ in range(2):
        with pytest.raises(EcholiaError, match="snapshot_invalid"):
            await restored(process, tmp_path / "kept elsewhere")
        await taken(process)  # under a new key


async def register_again(process: Process) -> None:
    """The same id once more, as after a deletion."""
    await process.databases.create(ANNA, [belongs_to(ANNA)])


async def test_a_deletion_ends_a_snapshot_that_is_being_taken(process: Process, tmp_path: Path) -> None:
    taking = asyncio.create_task(taken(process))
    while not await process.operator.snapshots.has_key(ANNA):
        assert not taking.done()
    await process.databases.delete(ANNA)
    with pytest.raises(DatabaseMissing):
        await taking
    assert not [name for name in files(tmp_path) if name.startswith("snapshots")]
    assert await data_key(process.directory, ANNA) is None


async def test_after_a_move_interrupted_or_not_it_is_restored_where_it_is(tmp_path: Path) -> None:
    until = End()
    async with two_places(tmp_path, until=until) as process:
        await register(process, ANNA)
        name = await taken(process)
        until.at = until.steps + 6
        with pytest.raises(Crashed):
            await process.moves.move(ANNA, OTHER)
    async with two_places(tmp_path) as process:
        await restored(process, name)
        assert (await process.registry.place(ANNA))[:3] == (FILES, None, None)
        assert not await process.is_at(OTHER, ANNA)
        await process.moves.move(ANNA, OTHER)
        await restored(process, name)
        assert (await process.registry.place(ANNA))[:3] == (OTHER, None, None)
        assert len(await frames(process.databases, ANNA)) == 1


async def test_ended_anywhere_a_restoration_serves_nobody_half_of_it(tmp_path: Path) -> None:
    for at in range(1, 60):
        data, until = tmp_path / str(at), End()
        async with two_places(data, until=until) as process:
            await register(process, ANNA)
            name = await taken(process)
            await put(process.databases, ANNA, b"later", 2)
            until.at, until.steps = at, 0
            with suppress(Crashed):
                await restored(process, name)
        async with two_places(data) as process:
            there = 0
            with suppress(DatabaseDamaged, DatabaseMissing):
                there = len(await frames(process.databases, ANNA))
                assert there in (1, 2)
            # Whatever it is, what was there is not lost, and the command can be run again.
            kept = [each.name for each in await process.operator.snapshots.listed(ANNA)]
            assert len(kept) == 2 or there == 2
            await restored(process, name)
            assert len(await frames(process.databases, ANNA)) == 1
            await process.operator.sweep()
        assert not [each for each in files(data) if each.endswith((".plain", ".new"))]
        if not until.dead:
            assert at > 8
            return
    raise AssertionError("a restoration takes fewer steps")


async def test_what_a_crash_left_is_swept(process: Process, tmp_path: Path) -> None:
    name = await taken(process)
    folder = process.operator.snapshots.folder_of
    folder(BEN).mkdir(parents=True)
    for left in (folder(ANNA) / "x.plain", folder(ANNA) / "x.plain-wal", folder(BEN) / "x.new"):
        left.write_bytes(b"left")
    assert await process.operator.sweep() == 3
    assert [each for each in files(tmp_path) if each.startswith("snapshots")] == [
        str((folder(ANNA) / name).relative_to(tmp_path))
    ]
    assert not folder(BEN).exists()


async def test_a_full_disk_leaves_no_part(tmp_path: Path, process: Process) -> None:
    class Full:
        """A database whose snapshot fails."""

        def __init__(self, db: Database) -> None:
            self.batch, self.reclaim, self.close = db.batch, db.reclaim, db.close

        async def snapshot(self, path: Path) -> None:
            """Write a part, then fail as an interrupted process would."""
            await asyncio.to_thread(path.write_bytes, b"part")
            raise DatabaseDamaged

    async with process.databases.lease(ANNA) as leased:
        with pytest.raises(DatabaseDamaged):
            await process.operator.snapshots.take(ANNA, Full(leased.db))
    assert not [each for each in files(tmp_path) if each.startswith("snapshots")]
