"""A new account: what it needs, what it refuses, and that a crash in the middle leaves nothing in the way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from echolia.auth.models import Register
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.storage.engine import Database, Result, Statement
from echolia.storage.sqlite.user_files import user_path
from tests.support.accounts import Account, Keys, entry_json
from tests.support.asgi import Asker
from tests.support.auth_alone import auth_alone
from tests.support.engine_fixtures import engine
from tests.support.server import served

__all__ = ["engine"]  # each test runs on both engines


async def test_a_new_account_is_signed_in(ask: Asker) -> None:
    account = Account()
    answer = await ask("POST", "/auth/register", account.registration())
    assert answer.status == 201
    told = answer.json()
    assert told["account"] == b64(account.id)
    assert told["device"] == b64(account.first.id)
    assert told["tokens"]["token_type"] == "Bearer"
    assert told["tokens"]["expires_in"] == 900
    access = told["tokens"]["access"]
    listed = await ask("GET", "/auth/devices", token=access)
    assert [each["device"] for each in listed.json()["devices"]] == [b64(account.first.id)]
    status = await ask("GET", "/sync/status", token=access)
    assert 1 <= status.json()["epoch"] < 2**53


async def test_the_same_genesis_again_is_refused_and_the_device_signs_in(ask: Asker, anna: Account) -> None:
    again = await ask("POST", "/auth/register", anna.registration())
    assert (again.status, again.code) == (409, "account_exists")
    assert (await anna.sign_in(ask)).status == 200


async def test_a_device_belongs_to_one_account(tmp_path: Path, ask: Asker, anna: Account) -> None:
    second = Account("second", [anna.first])
    answer = await ask("POST", "/auth/register", second.registration())
    assert (answer.status, answer.code) == (409, "account_exists")
    assert not user_path(tmp_path / "data" / "users", second.id).exists()


async def test_a_genesis_that_somebody_else_signed_is_refused(ask: Asker) -> None:
    body = Account().registration()
    stranger = Keys("stranger")
    body["genesis"]["signatures"]["recovery"] = b64(stranger.signed(b"anything"))
    answer = await ask("POST", "/auth/register", body)
    assert (answer.status, answer.code) == (400, "device_log_invalid")


async def test_an_entry_that_is_no_genesis_is_refused(ask: Asker) -> None:
    account = Account()
    body = {"genesis": entry_json(account.add_entry(Keys("second")))}
    answer = await ask("POST", "/auth/register", body)
    assert (answer.status, answer.code) == (400, "device_log_invalid")


async def test_a_key_box_needs_the_device_s_signature_and_a_known_recipient(ask: Asker) -> None:
    account = Account()
    body = account.registration()
    body["key_boxes"] = [account.key_box(by=Keys("stranger"))]
    assert (await ask("POST", "/auth/register", body)).code == "key_box_invalid"
    body["key_boxes"] = [account.key_box() | {"recipient": b64(Keys("stranger").id)}]
    assert (await ask("POST", "/auth/register", body)).code == "key_box_invalid"
    assert (await ask("POST", "/auth/register", account.registration())).status == 201


async def test_key_boxes_are_given_back_with_their_signer(ask: Asker, anna: Account) -> None:
    (box,) = anna.registration()["key_boxes"]
    stored = (await ask("GET", "/auth/key-boxes?recipient=recovery")).json()["boxes"]
    assert [each["recipient"] for each in stored] == ["recovery"]
    assert stored[0]["signer"] == b64(anna.first.id)
    assert stored[0].keys() == {*box, "signer"}
    none = await ask("GET", f"/auth/key-boxes?recipient={b64(anna.first.id)}")
    assert none.json() == {"boxes": []}


# --- crashes ---


class Crash(Exception):
    """The process ends here."""


@dataclass
class CrashingDatabase:
    """A directory that stops at its n-th unit of work, before it or right after it."""

    real: Database
    at: int
    after: bool
    count: int = 0

    async def batch(self, statements: Sequence[Statement], tx: bool = True) -> list[Result]:
        """As the real one, until the crash."""
        self.count += 1
        if self.count == self.at and not self.after:
            raise Crash
        results = await self.real.batch(statements, tx)
        if self.count == self.at:
            raise Crash
        return results

    async def snapshot(self, path: Path) -> None:
        """As the real one."""
        await self.real.snapshot(path)

    async def reclaim(self) -> None:
        """As the real one."""
        await self.real.reclaim()

    async def close(self) -> None:
        """Close the real one."""
        await self.real.close()


async def crash(data: Path, at: int, after: bool, account: Account) -> bool:
    """Register and crash at the directory's n-th unit of work; False if there are not that many."""
    async with auth_alone(data, through=lambda directory: CrashingDatabase(directory, at, after)) as auth:
        try:
            await auth.accounts.register(Register.model_validate(account.registration()))
        except Crash:
            return True
    return False


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [1, 2])
async def test_after_a_crash_at_any_point_the_device_gets_its_account(
    tmp_path: Path, at: int, after: bool
) -> None:
    account = Account()
    assert await crash(tmp_path / "data", at, after, account)
    async with served(tmp_path / "data") as ask:
        again = await ask("POST", "/auth/register", account.registration())
        assert again.status == 201 or again.code == "account_exists"
        signed_in = await account.sign_in(ask)
        assert signed_in.status == 200
        status = await ask("GET", "/sync/status", token=signed_in.json()["access"])
        assert status.status == 200


async def test_those_were_all_points(tmp_path: Path) -> None:
    assert not await crash(tmp_path / "data", 3, False, Account())


async def test_two_at_once_make_one_account(ask: Asker) -> None:
    account = Account()
    body = account.registration()
    answers = await asyncio.gather(*(ask("POST", "/auth/register", body) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409]
    assert (await account.sign_in(ask)).status == 200


async def test_a_registration_refused_by_a_constraint_leaves_no_file(tmp_path: Path) -> None:
    first = Account("first")
    bodies = [account.registration() for account in (first, Account("second", [first.first]))]
    async with auth_alone(tmp_path) as auth:
        registrations = [auth.accounts.register(Register.model_validate(body)) for body in bodies]
        results = await asyncio.gather(*registrations, return_exceptions=True)
    refused = [error for error in results if isinstance(error, EcholiaError)]
    assert [error.code for error in refused] == ["account_exists"]
    assert len(list((tmp_path / "users").glob("*/*.db"))) == 1
