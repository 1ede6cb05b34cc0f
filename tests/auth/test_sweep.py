"""What has expired is forgotten, on disk and in memory, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from echolia.auth.models import Register
from echolia.core.errors import EcholiaError
from echolia.storage.engine import Statement
from echolia.web.context import Caller
from tests.support.accounts import Account
from tests.support.auth_alone import auth_alone
from tests.support.engine_fixtures import engine
from tests.support.server import Clock

__all__ = ["engine"]  # each test runs on both engines


async def test_expired_rows_go_and_the_others_stay(tmp_path: Path) -> None:
    clock, account = Clock(), Account()
    async with auth_alone(tmp_path, clock) as auth:

        async def counts() -> list[int]:
            tables = ("challenges", "mailboxes", "mailbox_messages", "refresh_tokens", "accounts")
            results = await auth.db.batch([Statement(f"SELECT count(*) FROM {name}") for name in tables])
            return [int(str(result.rows[0][0])) for result in results]

        registered = await auth.accounts.register(Register.model_validate(account.registration()))
        caller = Caller(registered.account, registered.device, 0)
        await auth.sign_ins.challenge(account.first.id)
        mailbox = await auth.pairing.open(caller, bytes(32))
        message = Statement(
            "INSERT INTO mailbox_messages VALUES (?, 'guest', 0, ?)", (mailbox.mailbox, b"sealed")
        )
        await auth.db.batch([message])
        await auth.sweep()
        assert await counts() == [1, 1, 1, 1, 1]
        clock.pass_s(60)
        await auth.sweep()
        assert await counts() == [0, 1, 1, 1, 1]
        clock.pass_s(60)
        await auth.sweep()
        assert await counts() == [0, 0, 0, 1, 1]
        clock.pass_s(60 * 86_400)
        await auth.sweep()
        assert await counts() == [0, 0, 0, 0, 1]


async def test_refusals_are_forgotten_when_no_token_can_meet_them(tmp_path: Path) -> None:
    clock = Clock()
    async with auth_alone(tmp_path, clock) as auth:
        auth.devices.revoked(b"a" * 16, b"d" * 16)
        auth.devices.deleted(b"b" * 16)
        auth.devices.signed_out(b"c" * 16, b"e" * 16)
        clock.pass_s(900 + 86_400)
        auth.devices.sweep()
        memory = (auth.devices._revoked, auth.devices._deleted, auth.devices._signed_out)
        assert [len(refused) for refused in memory] == [1, 1, 1]
        clock.pass_s(1)
        auth.devices.sweep()
        assert [len(refused) for refused in memory] == [0, 0, 0]


async def test_a_token_made_by_a_clock_that_was_hours_ahead_is_refused_once_its_device_is_revoked(
    tmp_path: Path,
) -> None:
    clock, account = Clock(), Account()
    async with auth_alone(tmp_path, clock) as auth:
        clock.pass_s(6 * 3600)
        registered = await auth.accounts.register(Register.model_validate(account.registration()))
        caller = auth.tokens.read(registered.tokens.access)
        clock.pass_s(-6 * 3600)
        auth.devices.revoked(registered.account, registered.device)
        clock.pass_s(5 * 3600)
        await auth.sweep()
        assert caller.expires > clock(), "by itself it would be let in"
        with pytest.raises(EcholiaError, match="device_revoked"):
            auth.devices.admits(caller)
