"""What every place of accounts' databases keeps: the suite runs on files, sqld and Turso's stand-in."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import pytest

from echolia.storage.engine import (
    ConstraintViolated,
    Database,
    DatabaseExists,
    DatabaseMissing,
    Statement,
    StorageError,
)
from echolia.storage.migrate import APPLIED, load_migrations, pending
from echolia.storage.provisioner import Provisioner

ANNA: Final = bytes(range(16))
BEN: Final = bytes(range(16, 32))
MIGRATIONS: Final = load_migrations("user")
_EPOCHS: Final = Statement("SELECT account, epoch FROM account")
_UPDATE: Final = Statement("UPDATE account SET epoch = 8")


class Nature(NamedTuple):
    """How places differ by nature.

    `refuses`: what is blocked or deleted while it is open. Files do not: an open file lives on without its
    name, and whoever leases databases refuses before.
    `usage_is_late`: what a database takes is known some time after it was written.
    """

    refuses: bool
    usage_is_late: bool = False


class Setting(Protocol):
    """A place, and how it is come back to after its process ended without a word."""

    nature: Nature
    place: Provisioner

    async def again(self) -> Provisioner:
        """The same place, by a provisioner that knows nothing of the former one."""
        ...

    async def interrupt_creation(self, account: bytes) -> None:
        """Leave what a creation leaves that a crash stopped before its end."""
        ...


def owner(account: bytes, epoch: int = 7) -> Statement:
    """Makes a database the account's."""
    return Statement("INSERT INTO account (one, account, epoch) VALUES (1, ?, ?)", (account, epoch))


async def contents(place: Provisioner, account: bytes) -> list[object]:
    """Whose database it is."""
    db = await place.open(account)
    try:
        return list((await db.batch([_EPOCHS], tx=False))[0].rows)
    finally:
        await db.close()


class ProvisionerContract:
    """The promises of `provisioner.Provisioner`; its databases are migrated to `MIGRATIONS`."""

    async def test_what_is_created_is_migrated_and_holds_the_statements(self, setting: Setting) -> None:
        await setting.place.create(ANNA, [owner(ANNA)])
        db = await setting.place.open(ANNA)
        applied, owned = await db.batch([APPLIED, _EPOCHS], tx=False)
        assert pending(MIGRATIONS, applied.rows) == []
        assert owned.rows == [(ANNA, 7)]
        await db.close()

    async def test_it_is_there_for_another_provisioner(self, setting: Setting) -> None:
        await setting.place.create(ANNA, [owner(ANNA)])
        assert await contents(await setting.again(), ANNA) == [(ANNA, 7)]

    async def test_databases_do_not_see_each_other(self, setting: Setting) -> None:
        await setting.place.create(ANNA, [owner(ANNA)])
        await setting.place.create(BEN, [owner(BEN, 8)])
        assert await contents(setting.place, ANNA) == [(ANNA, 7)]
        assert await contents(setting.place, BEN) == [(BEN, 8)]

    async def test_what_was_not_created_cannot_be_opened(self, setting: Setting) -> None:
        await setting.place.create(ANNA)
        for _ in range(2):
            with pytest.raises(DatabaseMissing):
                await setting.place.open(BEN)
        with pytest.raises(DatabaseMissing):
            await setting.place.usage(BEN)

    @pytest.mark.parametrize("statements", [[], [owner(ANNA)]])
    async def test_what_exists_is_not_created_again(
        self, setting: Setting, statements: list[Statement]
    ) -> None:
        await setting.place.create(ANNA, statements)
        with pytest.raises(DatabaseExists):
            await setting.place.create(ANNA, [owner(ANNA, 9)])
        assert await contents(setting.place, ANNA) == [(ANNA, 7)][: len(statements)]

    @pytest.mark.parametrize("fails", [owner(ANNA, 9), Statement("INSERT INTO nowhere VALUES (1)")])
    async def test_statements_that_fail_leave_nothing_behind(
        self, setting: Setting, fails: Statement
    ) -> None:
        with pytest.raises(StorageError) as caught:
            await setting.place.create(ANNA, [owner(ANNA), fails])
        if fails.params:
            assert isinstance(caught.value, ConstraintViolated)
        with pytest.raises(DatabaseMissing):
            await setting.place.open(ANNA)
        await setting.place.create(ANNA, [owner(ANNA, 10)])
        assert await contents(setting.place, ANNA) == [(ANNA, 10)]

    async def test_an_interrupted_creation_is_as_if_it_had_not_begun(self, setting: Setting) -> None:
        await setting.interrupt_creation(ANNA)
        place = await setting.again()
        await place.sweep()
        with pytest.raises(DatabaseMissing):
            await place.open(ANNA)
        await place.create(ANNA, [owner(ANNA)])
        assert await contents(place, ANNA) == [(ANNA, 7)]

    async def test_what_an_interrupted_creation_left_is_cleared(self, setting: Setting) -> None:
        await setting.interrupt_creation(ANNA)
        place = await setting.again()
        assert await place.clear(ANNA)
        with pytest.raises(DatabaseMissing):
            await place.usage(ANNA)
        assert await place.clear(ANNA), "there is none"

    async def test_a_whole_database_is_not_cleared(self, setting: Setting) -> None:
        await setting.place.create(ANNA, [owner(ANNA)])
        assert not await setting.place.clear(ANNA)
        assert await contents(setting.place, ANNA) == [(ANNA, 7)]

    async def test_what_is_deleted_is_gone_and_may_come_anew(self, setting: Setting) -> None:
        await setting.place.create(ANNA, [owner(ANNA)])
        await setting.place.create(BEN, [owner(BEN)])
        await setting.place.delete(ANNA)
        await setting.place.delete(ANNA)
        with pytest.raises(DatabaseMissing):
            await setting.place.open(ANNA)
        assert await contents(setting.place, BEN) == [(BEN, 7)]
        await setting.place.create(ANNA, [owner(ANNA, 11)])
        assert await contents(setting.place, ANNA) == [(ANNA, 11)]

    async def test_what_is_written_after_a_deletion_does_not_bring_it_back(self, setting: Setting) -> None:
        await setting.place.create(ANNA, [owner(ANNA)])
        db = await setting.place.open(ANNA)
        await setting.place.delete(ANNA)
        outcome = (await asyncio.gather(db.batch([_UPDATE]), return_exceptions=True))[0]
        assert isinstance(outcome, DatabaseMissing) == setting.nature.refuses
        await db.close()
        with pytest.raises(DatabaseMissing):
            await setting.place.open(ANNA)

    async def test_usage_grows_with_what_is_stored(self, setting: Setting) -> None:
        await setting.place.create(ANNA, [owner(ANNA)])
        before = (await setting.place.usage(ANNA)).bytes
        db = await setting.place.open(ANNA)
        ack = "INSERT INTO acks (device, epoch, seq, body, signature) VALUES (?, 1, 1, zeroblob(900000), x'')"
        await db.batch([Statement(ack, (b"device",))])
        await db.close()
        after = (await setting.place.usage(ANNA)).bytes
        assert before is not None and after is not None
        stored = 0 if setting.nature.usage_is_late else 900_000
        assert 0 <= before <= after - stored <= 1_000_000

    async def test_a_blocked_database_gives_and_takes_nothing(self, setting: Setting) -> None:
        await setting.place.create(ANNA, [owner(ANNA)])
        db = await setting.place.open(ANNA)
        await setting.place.block(ANNA, True)
        for statement in (_EPOCHS, _UPDATE):
            outcome = (await asyncio.gather(db.batch([statement]), return_exceptions=True))[0]
            assert (getattr(outcome, "code", "") == "database_blocked") == setting.nature.refuses
        await setting.place.block(ANNA, False)
        await db.close()
        assert await contents(setting.place, ANNA) == [(ANNA, 7 if setting.nature.refuses else 8)]

    async def test_many_are_created_at_once(self, setting: Setting) -> None:
        accounts = [bytes([n]) * 16 for n in range(12)]
        await asyncio.gather(*(setting.place.create(each, [owner(each)]) for each in accounts))
        for each in accounts:
            assert await contents(setting.place, each) == [(each, 7)]

    @pytest.mark.parametrize("account", [b"", b"short", bytes(17)])
    async def test_an_id_of_another_length_is_refused(self, setting: Setting, account: bytes) -> None:
        for ask in (setting.place.open, setting.place.create, setting.place.delete):
            with pytest.raises(StorageError):
                await ask(account)

    async def test_a_snapshot_is_a_whole_file(self, setting: Setting, tmp_path: Path) -> None:
        await setting.place.create(ANNA, [owner(ANNA)])
        db = await setting.place.open(ANNA)
        await db.snapshot(tmp_path / "snapshot.db")
        await _assert_same(db, tmp_path / "snapshot.db")
        assert stat.S_IMODE((tmp_path / "snapshot.db").stat().st_mode) == 0o600
        with pytest.raises(DatabaseExists):
            await db.snapshot(tmp_path / "snapshot.db")
        await db.reclaim()
        await db.close()


async def _assert_same(db: Database, path: Path) -> None:
    copy = sqlite3.connect(path)
    try:
        for sql in (
            "SELECT account, epoch FROM account",
            "SELECT version, checksum, applied_at FROM schema_migrations",
            "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name",
        ):
            assert (await db.batch([Statement(sql)]))[0].rows == copy.execute(sql).fetchall()
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        copy.close()
