"""What whoever runs the server can ask: plain answers, nothing of what is sealed, and errors by name."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from echolia.core.errors import EcholiaError
from echolia.storage.databases import FILES
from echolia.storage.engine import DatabaseBusy, Statement
from echolia.storage.migrate import load_migrations
from echolia.storage.operating.service import Events, Operating, Value
from echolia.storage.sqlite.user_files import user_path
from tests.storage.conftest import belongs_to, frames, put
from tests.support.two_places import OTHER, Process, two_places

# Two whose ids begin alike, and one that has a beginning of its own.
ANNA, BEN, CARL = bytes.fromhex("abcdef00" * 4), bytes.fromhex("abcdef01" * 4), bytes.fromhex("1234567f" * 4)
VERSION = len(load_migrations("user"))


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    """A process with three accounts."""
    async with two_places(tmp_path) as process:
        for account in (ANNA, BEN, CARL):
            await register(process, account)
        yield process


async def register(process: Process, account: bytes) -> None:
    """An account that the directory knows, with a run."""
    await process.directory.batch([account_row(account)])
    await process.databases.create(account, [belongs_to(account)])
    await put(process.databases, account, b"canary")


def account_row(account: bytes) -> Statement:
    """Makes it an account."""
    sql = "INSERT INTO accounts (account, created_ms, log_length, log_head) VALUES (?, 0, 1, x'')"
    return Statement(sql, (account,))


async def result(events: Events) -> Value:
    """What long work ends with, as it travels."""
    told = [event async for event in events]
    value: Value = json.loads(json.dumps(told))[-1]["result"]
    return value


async def found(process: Process, user: str | None = None) -> set[tuple[str, str, str]]:
    """What a check finds."""
    checked = await result(process.operator.check(user))
    return {(each["account"], each["home"], each["code"]) for each in checked["findings"]}


async def listed(process: Process, *given: object) -> list[str]:
    """The accounts of a page."""
    defaults: list[object] = [None, 100, None, False, False]
    page = await process.operator.list(*given, *defaults[len(given) :])  # type: ignore[arg-type]
    json.dumps(page)
    return [each["account"] for each in page["databases"]]


def test_it_is_what_commands_ask(process: Process) -> None:
    operator: Operating = process.operator
    assert operator


async def test_pages_follow_each_other(process: Process) -> None:
    everyone = [each.hex() for each in (CARL, ANNA, BEN)]
    assert await listed(process) == everyone
    seen, after = [], None
    while True:
        page = await process.operator.list(after, 2, None, False, False)
        seen += [each["account"] for each in page["databases"]]
        if (after := page["next"]) is None:
            break
    assert seen == everyone


async def test_a_page_can_be_of_some_alone(process: Process) -> None:
    await process.moves.move(ANNA, OTHER)
    await process.operator.block(BEN.hex(), True)
    await process.registry.migrated(CARL, 1, "storage_constraint")
    assert await listed(process, None, 9, OTHER) == [ANNA.hex()]
    assert await listed(process, None, 9, None, True) == [CARL.hex()]
    assert await listed(process, None, 9, None, False, True) == [BEN.hex()]
    assert await listed(process, None, 9, OTHER, True) == []


@pytest.mark.parametrize("user", ["abcdef00", "ABCDEF00AB", ANNA.hex(), "abcdef00" * 4])
async def test_an_account_is_named_by_its_beginning(process: Process, user: str) -> None:
    assert (await process.operator.show(user))["account"] == ANNA.hex()


@pytest.mark.parametrize(
    ("user", "code"),
    [
        ("abcdef", "account_ambiguous"),
        ("abcdef02", "account_unknown"),
        ("12345", "invalid_request"),
        ("", "invalid_request"),
        ("../../etc", "invalid_request"),
        ("1234567f%", "invalid_request"),
        ("0" * 33, "invalid_request"),
        ("１２３４５６", "invalid_request"),
    ],
)
async def test_what_names_nobody_is_refused(process: Process, user: str, code: str) -> None:
    operator = process.operator
    for ask in (
        operator.show(user),
        operator.block(user, True),
        *map(result, (operator.move(user, OTHER), operator.snapshot(user), operator.check(user or "x"))),
        *map(result, (operator.export(user, "/nowhere"), operator.restore(user, "x", False, True))),
    ):
        with pytest.raises(EcholiaError) as caught:
            await ask
        assert caught.value.code == code
    with pytest.raises(EcholiaError):
        await operator.list("abc", 1, None, False, False)


async def test_one_is_shown_without_what_is_in_it(process: Process) -> None:
    await result(process.operator.snapshot(ANNA.hex()))
    shown = await process.operator.show(ANNA.hex())
    assert b"canary" not in json.dumps(shown).encode()
    assert shown["counts"] == {"account": 1, "runs": 1, "acks": 0, "checkpoints": 0, "base": 0}
    assert (shown["home"], shown["version"], shown["blocked"], shown["error"]) == (
        FILES,
        VERSION,
        False,
        None,
    )
    assert shown["bytes"] > 20_000
    assert [each["name"] for each in shown["snapshots"]] == ["2026-11-18T110640.123Z.sealed"]


async def test_a_blocked_one_is_refused_and_then_served_again(process: Process) -> None:
    assert (await process.operator.block(ANNA.hex(), True))["blocked"] is True
    with pytest.raises(EcholiaError, match="database_blocked"):
        await frames(process.databases, ANNA)
    assert process.databases.open_count == 2
    assert (await process.operator.show(ANNA.hex()))["error"] == "database_blocked"
    assert await found(process, ANNA.hex()) == set()
    assert (await process.operator.block(ANNA.hex(), False))["blocked"] is False
    assert await frames(process.databases, ANNA) == [b"canary"]


async def test_a_blocked_one_is_exported_and_kept(process: Process, tmp_path: Path) -> None:
    await process.operator.block(ANNA.hex(), True)
    await result(process.operator.export(ANNA.hex(), str(tmp_path / "anna.db")))
    await result(process.operator.snapshot(ANNA.hex()))
    assert (tmp_path / "anna.db").stat().st_size > 20_000
    with pytest.raises(EcholiaError, match="database_blocked"):
        await frames(process.databases, ANNA)


async def test_who_is_blocked_can_still_be_deleted(process: Process) -> None:
    await process.operator.block(ANNA.hex(), True)
    await process.databases.delete(ANNA)
    assert not await process.is_at(FILES, ANNA)


async def test_all_is_well(process: Process) -> None:
    await process.moves.move(ANNA, OTHER)
    assert await found(process) == set()
    checked = await result(process.operator.check(None))
    assert checked == {"checked": 3, "findings": []}


async def test_what_is_not_well_is_found(process: Process, tmp_path: Path) -> None:
    for account in (ANNA, BEN, CARL):
        await process.databases.drop(account)
    anna, ben, carl = (user_path(tmp_path / "users", account) for account in (ANNA, BEN, CARL))
    shutil.copy(ben, anna)
    carl.write_bytes(b"no database" * 999)
    stranger = bytes.fromhex("99" * 16)
    for place in ("users", OTHER):
        there = user_path(tmp_path / place, stranger)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ben, there)
    process.operator.snapshots.folder_of(stranger).mkdir(parents=True)
    nowhere = bytes.fromhex("77" * 16)
    await process.directory.batch([account_row(nowhere)])
    assert await found(process) == {
        (ANNA.hex(), FILES, "storage_damaged"),
        (CARL.hex(), FILES, "storage_damaged"),
        (stranger.hex(), FILES, "orphan"),
        (stranger.hex(), OTHER, "orphan"),
        (stranger.hex(), "snapshots", "orphan"),
        (nowhere.hex(), "", "storage_missing"),
    }
    assert await found(process, BEN.hex()) == set()
    assert await found(process, nowhere.hex()) == {(nowhere.hex(), "", "storage_missing")}


async def test_pages_that_the_disk_lost_are_found(process: Process, tmp_path: Path) -> None:
    await put(process.databases, ANNA, bytes(50_000), 2)
    await process.databases.drop(ANNA)
    path = user_path(tmp_path / "users", ANNA)
    content = bytearray(path.read_bytes())
    # The pages of large values are chained by their first four bytes: this chain leads nowhere.
    content[-4096:-4092] = b"\xff" * 4
    content[-8192:-8188] = b"\xff" * 4
    path.write_bytes(content)
    assert await found(process, ANNA.hex()) == {(ANNA.hex(), FILES, "storage_damaged")}


async def test_missing_ones_unknown_places_and_open_moves_are_found(process: Process) -> None:
    await process.databases.drop(ANNA)
    await process.homes[FILES].real.delete(ANNA)
    await process.directory.batch([Statement("UPDATE databases SET home = 'gone' WHERE account = ?", (BEN,))])
    await process.registry.moving(CARL, FILES, OTHER)
    assert await found(process) == {
        (ANNA.hex(), FILES, "storage_missing"),
        (BEN.hex(), "gone", "home_unknown"),
        (BEN.hex(), FILES, "orphan"),
        (CARL.hex(), FILES, "move_unfinished"),
    }


async def test_one_thing_at_a_time(process: Process) -> None:
    asking = [asyncio.create_task(result(process.operator.move(ANNA.hex(), OTHER))) for _ in range(3)]
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert sum(isinstance(outcome, DatabaseBusy) for outcome in outcomes) == 2
    assert (await process.registry.place(ANNA)).home == OTHER


async def test_who_stops_listening_ends_the_work(process: Process) -> None:
    events = process.operator.move(ANNA.hex(), OTHER)
    assert (await anext(events))["progress"] == "rows"
    await events.aclose()  # type: ignore[attr-defined]
    assert (await process.registry.place(ANNA))[:2] == (FILES, OTHER)
    await result(process.operator.move(ANNA.hex(), OTHER))
    assert (await process.registry.place(ANNA))[:2] == (OTHER, None)


async def test_an_account_that_is_being_deleted_is_not_brought_back(process: Process) -> None:
    name = (await result(process.operator.snapshot(ANNA.hex())))["name"]
    await process.directory.batch([Statement("UPDATE accounts SET deleting = 1 WHERE account = ?", (ANNA,))])
    with pytest.raises(EcholiaError, match="account_unknown"):
        await result(process.operator.restore(ANNA.hex(), name, False, True))
