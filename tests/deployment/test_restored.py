"""`echolia restored`: every log gets a new epoch, offline, whatever one of them is like."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from echolia.__main__ import cli
from echolia.core.ids import b64
from echolia.restoring import restored
from echolia.storage.owner_lock import OwnerLock
from echolia.storage.sqlite.user_files import user_path
from tests.support.accounts import Account, Keys, entry_json
from tests.support.server import Clock, served

NOBODY = bytes(16)


def command(data: Path, *words: str) -> Result:
    """What the command line answers."""
    return CliRunner().invoke(cli, ["restored", "--data", str(data), *words], prog_name="echolia")


def told(data: Path, *words: str) -> dict[str, Any]:
    """The same in JSON."""
    answer: dict[str, Any] = json.loads(command(data, "--json", *words).stdout)
    return answer


async def with_accounts(data: Path, *names: str) -> list[Account]:
    """A stopped server's data, with these accounts."""
    accounts = [Account(name) for name in names]
    async with served(data) as ask:
        for account in accounts:
            await account.register(ask)
    return accounts


async def epoch_of(data: Path, account: Account) -> int:
    """The epoch that a device is told."""
    async with served(data) as ask:
        access = (await account.sign_in(ask)).json()["access"]
        return int((await ask("GET", "/sync/status", token=access)).json()["epoch"])


async def test_every_log_gets_an_epoch_of_its_own(tmp_path: Path) -> None:
    accounts = await with_accounts(tmp_path, "anna", "bob")
    former = [await epoch_of(tmp_path, account) for account in accounts]
    done = await restored(tmp_path, None, lambda *_: None)
    assert (done.accounts, done.emptied, done.failed) == (2, 0, {})
    later = [await epoch_of(tmp_path, account) for account in accounts]
    assert len({*former, *later}) == 4


async def test_one_account_alone(tmp_path: Path) -> None:
    anna, bob = await with_accounts(tmp_path, "anna", "bob")
    former = [await epoch_of(tmp_path, account) for account in (anna, bob)]
    done = await restored(tmp_path, anna.id, lambda *_: None)
    assert done.accounts == 1
    later = [await epoch_of(tmp_path, account) for account in (anna, bob)]
    assert [before == after for before, after in zip(former, later, strict=True)] == [False, True]


async def test_a_log_that_the_backup_lacked_begins_empty(tmp_path: Path) -> None:
    (anna,) = await with_accounts(tmp_path, "anna")
    user_path(tmp_path / "users", anna.id).unlink()
    done = await restored(tmp_path, None, lambda *_: None)
    assert (done.accounts, done.emptied) == (1, 1)
    assert await epoch_of(tmp_path, anna) > 0


async def test_an_account_that_the_directory_lacked_keeps_its_log(tmp_path: Path) -> None:
    async with served(tmp_path / "early"):
        pass
    (anna,) = await with_accounts(tmp_path / "late", "anna")
    former = await epoch_of(tmp_path / "late", anna)
    shutil.copyfile(tmp_path / "early" / "directory.db", tmp_path / "late" / "directory.db")
    async with served(tmp_path / "late") as ask:
        assert (await ask("POST", "/auth/register", anna.registration())).status == 201
    assert await epoch_of(tmp_path / "late", anna) == former


async def test_a_device_that_the_directory_lacks_is_told_so_and_brought_back(tmp_path: Path) -> None:
    clock, phone = Clock(), Keys("anna's phone")
    (anna,) = await with_accounts(tmp_path / "late", "anna")
    shutil.copyfile(tmp_path / "late" / "directory.db", tmp_path / "directory.db")
    async with served(tmp_path / "late", clock) as ask:
        ask.token = (await anna.sign_in(ask)).json()["access"]
        await anna.pair(ask, ask.token, phone)
        access = (await anna.sign_in(ask, phone)).json()["access"]
    shutil.copyfile(tmp_path / "directory.db", tmp_path / "late" / "directory.db")
    await restored(tmp_path / "late", None, lambda *_: None)
    async with served(tmp_path / "late", clock) as ask:
        place = {"seq": 0, "log": b64(bytes(32)), "devices": {"n": 1, "head": b64(bytes(32))}}
        ack = {"epoch": 1, **place, "signature": b64(bytes(64))}
        assert (await ask("POST", "/sync/ack", ack, token=access)).code == "device_unknown"
        assert (await anna.sign_in(ask, phone)).code == "signature_invalid"
        body = {**entry_json(anna.entries[1]), "key_boxes": []}
        assert (await ask("POST", "/auth/devices", body, token=access)).status == 204
        assert (await anna.sign_in(ask, phone)).status == 200


async def test_a_damaged_one_keeps_no_other_from_its_turn(tmp_path: Path) -> None:
    anna, bob = await with_accounts(tmp_path, "anna", "bob")
    user_path(tmp_path / "users", anna.id).write_bytes(b"no database" * 500)
    former = await epoch_of(tmp_path, bob)
    done = await restored(tmp_path, None, lambda *_: None)
    assert (done.accounts, done.failed) == (1, {anna.id.hex(): "storage_damaged"})
    assert await epoch_of(tmp_path, bob) != former


def test_the_command_tells_what_it_did(tmp_path: Path) -> None:
    (anna,) = asyncio.run(with_accounts(tmp_path, "anna"))
    assert told(tmp_path) == {"accounts": 1, "emptied": 0, "failed": {}}
    assert told(tmp_path, "--account", anna.id.hex())["accounts"] == 1
    assert "1 logs have a new epoch" in command(tmp_path).output


def test_what_cannot_be_is_named(tmp_path: Path) -> None:
    asyncio.run(with_accounts(tmp_path / "data", "anna"))
    assert "[storage_missing]" in command(tmp_path / "nothing").output
    assert not (tmp_path / "nothing").exists()
    assert "[account_unknown]" in command(tmp_path / "data", "--account", NOBODY.hex()).output
    assert command(tmp_path / "data", "--account", "anna").exit_code == 2
    lock = OwnerLock(tmp_path / "data")
    assert "[storage_owned]" in command(tmp_path / "data").output
    lock.release()
