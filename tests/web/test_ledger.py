"""The ledger says all that the server has of an account: each table, each column, and what is beside them."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import pytest

from echolia.core.errors import EcholiaError
from echolia.core.ids import b64, unb64
from echolia.core.push import PUSH_TYPE, write_push
from echolia.storage.migrate import load_migrations
from echolia.sync.ledger import SyncLedger
from echolia.sync.live.listeners import Listeners
from echolia.web.context import Caller, Fact
from echolia.web.lean import LeanRequest
from echolia.web.ledger import lean_route
from echolia.web.limits import Limits
from echolia.web.logs import REQUEST_FIELDS, AccessLog
from tests.journeys.canary.person import writer_of
from tests.support.accounts import Account, Keys
from tests.support.asgi import Asker
from tests.support.engine_fixtures import engine
from tests.support.server import Clock, served
from tests.sync.conftest import ACCOUNT, open_log

__all__ = ["engine"]  # each test runs on both engines

# What the migrations themselves need; nothing in it is of an account.
_NOBODYS = {"schema_migrations", "migration_sweep"}


def columns(kind: Literal["user", "directory"]) -> Iterator[str]:
    """Each column that the migrations make, as the ledger names it."""
    database = sqlite3.connect(":memory:")
    try:
        for migration in load_migrations(kind):
            for statement in migration.statements:
                database.execute(statement.sql)
        tables = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        for (table,) in tables:
            if table not in _NOBODYS and not table.startswith("sqlite_"):
                for column in database.execute(f"SELECT name FROM pragma_table_info('{table}')"):
                    yield f"{kind}.{table}.{column[0]}"
    finally:
        database.close()


async def ledger(ask: Asker, token: str | None = None) -> dict[str, Any]:
    """The facts' values by place."""
    answer = await ask("GET", "/ledger", token=token)
    assert answer.status == 200, answer.body
    facts = answer.json()["facts"]
    assert all(fact.keys() == {"place", "what", "value", "why"} for fact in facts)
    assert all(fact["what"] and fact["why"] for fact in facts)
    found = {fact["place"]: fact["value"] for fact in facts}
    assert len(found) == len(facts)
    return found


async def push(ask: Asker, account: Account, count: int = 3) -> None:
    """Some changes of the account's first device."""
    writer = writer_of(account, account.first)
    writer.write(count)
    body = write_push([writer.run()])
    answer = await ask("POST", "/sync/push", body=body, headers={"content-type": PUSH_TYPE})
    assert answer.json()["runs"][0]["status"] == "stored"


@pytest.mark.parametrize("kind", ["user", "directory"])
async def test_each_column_of_each_table_is_in_it(
    ask: Asker, anna: Account, kind: Literal["user", "directory"]
) -> None:
    told = await ledger(ask)
    there = set(columns(kind))
    assert len(there) > 10
    assert there - told.keys() == set(), "the server keeps what its ledger does not tell"
    named = {place for place in told if place.startswith(f"{kind}.") and place.count(".") == 2}
    assert named - there == set(), "the ledger tells what the server does not keep"


async def test_it_tells_what_is_there(ask: Asker, anna: Account, clock: Clock) -> None:
    phone = Keys("anna's phone")
    assert (await anna.pair(ask, ask.token, phone)).status == 204
    tokens = (await anna.sign_in(ask, phone)).json()
    await push(ask, anna)
    told = await ledger(ask)
    now_ms, first = int(clock.now_s * 1000), b64(anna.first.id)
    assert told["directory.accounts.account"] == told["user.account.account"] == b64(anna.id)
    assert told["directory.accounts.created_ms"] == {"at_ms": now_ms}
    assert told["directory.accounts.log_length"] == told["directory.device_log.n"] == 2
    assert told["directory.accounts.log_head"] == b64(anna.log.head)
    assert sorted(told["directory.devices.device"]) == sorted([first, b64(phone.id)])
    assert told["directory.devices.sign"][b64(phone.id)] == b64(phone.sign)
    assert told["directory.key_boxes.box"]["recovery"]["count"] == 1
    assert told["directory.key_boxes.signer"] == [first]
    assert told["directory.challenges.challenge"] == 0
    assert told["directory.refresh_tokens.hash"] == {first: 1, b64(phone.id): 1}
    assert told["directory.mailboxes.confirmed"] is True
    assert told["directory.mailbox_messages.n"] == {"owner": 1}
    assert told["user.runs.changes"] == {"count": 3, "runs": 1}
    assert told["user.runs.device"] == {first: {"runs": 1, "bytes": told["user.runs.frame"]["bytes"]}}
    assert told["user.runs.received_ms"] == {"earliest_ms": now_ms, "latest_ms": now_ms}
    assert (told["user.runs.frame.object"], told["user.runs.frame.stream"]) == (3, 1)
    assert told["user.runs.frame.class"] == {"whole": 3, "adding": 0}
    assert told["user.acks.device"] == []
    assert told["memory.limits.account"]["push"] == 1
    assert tokens["refresh"]


async def test_secrets_and_sealed_things_are_counted_and_not_told(ask: Asker, anna: Account) -> None:
    refresh = (await anna.sign_in(ask)).json()["refresh"]
    answer = await ask("GET", "/ledger")
    box = anna.registration()["key_boxes"][0]["box"]
    for secret in (refresh, b64(sha256(unb64(refresh)).digest()), box):
        assert secret.encode() not in answer.body


async def test_it_follows_what_comes_and_goes(ask: Asker, anna: Account) -> None:
    phone = Keys("anna's phone")
    await anna.pair(ask, ask.token, phone)
    token = (await anna.sign_in(ask, phone)).json()["access"]
    await ask("POST", "/auth/challenge", {"device": b64(phone.id)})
    async with ask.stream("/sync/live", token) as stream:
        await stream.until(b"event: head")
        told = await ledger(ask)
        assert told["memory.listeners"] == {b64(phone.id): 1}
        assert told["directory.challenges.challenge"] == 1
        await anna.revoke(ask, ask.token, phone)
    told = await ledger(ask)
    assert told["directory.devices.revoked_ms"].keys() == {b64(phone.id)}
    assert told["memory.devices"] == {"device_log": True, "revoked": 1, "signed_out": 0}


async def test_nobody_learns_of_another_account(ask: Asker, anna: Account) -> None:
    await push(ask, anna)
    before = await ledger(ask)
    bert = Account("bert")
    token = (await bert.register(ask))["access"]
    other = await ledger(ask, token)
    assert other["directory.accounts.account"] == b64(bert.id)
    assert (other["user.runs.seq"], other["directory.accounts.log_length"]) == (0, 1)
    after = await ledger(ask)
    volatile = {"memory.limits.account"}
    assert {place: value for place, value in after.items() if place not in volatile} == {
        place: value for place, value in before.items() if place not in volatile
    }


async def test_only_a_member_is_told(ask: Asker, anna: Account) -> None:
    assert (await ask("GET", "/ledger", token="")).code == "unauthorized"
    assert (await ask("POST", "/ledger", {})).status == 405


async def test_it_is_limited_by_a_limit_of_its_own(tmp_path: Path) -> None:
    async with served(tmp_path / "data", ledger_per_minute=1) as ask:
        ask.token = (await Account("anna").register(ask))["access"]
        await ledger(ask)
        refused = await ask("GET", "/ledger")
        assert (refused.status, refused.code) == (429, "rate_limited")
        assert (await ask("GET", "/sync/status")).status == 200


async def test_an_account_without_its_database_is_refused(tmp_path: Path) -> None:
    anna = Account("anna")
    async with served(tmp_path / "data") as ask:
        token = (await anna.register(ask))["access"]
    next((tmp_path / "data" / "users").rglob("*.db")).unlink()
    async with served(tmp_path / "data") as ask:
        assert (await ask("GET", "/ledger", token=token)).code == "storage_missing"


class Slow:
    """A keeper that does not come to an end."""

    async def facts(self, account: bytes) -> list[Fact]:
        """See `Keeper.facts`."""
        import asyncio  # noqa: PLC0415

        await asyncio.Event().wait()
        return []


async def test_what_takes_too_long_is_given_up() -> None:
    request = LeanRequest(Caller(ACCOUNT, bytes(16), expires=2**40), {}, b"")
    with pytest.raises(EcholiaError, match="unavailable"):
        await lean_route([Slow()], longest_s=0).endpoint(request)


async def test_of_a_large_account_some_things_are_not_counted(tmp_path: Path) -> None:
    log = await open_log(tmp_path, new=True)
    log.laptop.write(5)
    await log.service.push(log.caller(log.laptop), [log.laptop.run()])
    whole = SyncLedger(log.databases, Listeners())
    small = SyncLedger(log.databases, Listeners(), most_read_bytes=100, most_summed_runs=0)
    counted = {fact.place: fact.value for fact in await whole.facts(ACCOUNT)}
    not_counted = {fact.place: fact.value for fact in await small.facts(ACCOUNT)}
    assert counted["user.runs.frame.object"] == 5
    assert not_counted["user.runs.frame.object"] is None
    assert not_counted["user.runs.device"] == {b64(log.laptop.device): None}
    assert not_counted["user.runs.last"] == {b64(log.laptop.device): 5}
    await log.databases.close()


def test_a_log_line_holds_what_the_ledger_says() -> None:
    written, later = io.StringIO(), list[Any]()
    log = AccessLog(written, lambda _, call: later.append(call), Clock())
    log.write("0" * 16, "GET", "/ledger", 200, 1.0, (0, 1))
    later[0]()
    assert tuple(json.loads(written.getvalue())) == REQUEST_FIELDS


def test_running_windows_are_those_of_who_asks() -> None:
    limits = Limits({"push": 9, "pull": 9}, Clock())
    limits.charge("push", "anna")
    limits.charge("push", "bert")
    assert (limits.running("anna"), limits.running("carl")) == ({"push": 1}, {})
