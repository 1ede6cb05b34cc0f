"""Two processes, one directory: of two that do the same at once, one does it and the other learns so."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

from echolia.auth.store import accounts, mailboxes, sign_in
from echolia.core.device_log import DeviceLog
from echolia.storage.engine import ConstraintViolated, Database, Statement
from echolia.storage.registry import DirectoryRegistry, Place
from tests.support.accounts import Account, Keys
from tests.support.engine_fixtures import engine
from tests.support.engines import opened_directory

__all__ = ["engine"]  # each test runs on both engines

Two = tuple[Database, Database]
ROUNDS = 10


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    """Two processes' ways to the directory."""
    async with opened_directory(tmp_path) as one, opened_directory(tmp_path) as other:
        yield one, other


def numbered(number: int) -> bytes:
    """Sixteen bytes, others for each number."""
    return sha256(number.to_bytes(4, "big")).digest()[:16]


async def registered(db: Database, account: Account) -> DeviceLog:
    """Write the account and its first sign-in."""
    log = DeviceLog.start(account.entries[0])
    first = sign_in.insert_token(account.id + b"first", b"family", account.id, account.first.id, 1000)
    await accounts.insert(db, log, account.entries[0], [], 1, first)
    return log


async def count(db: Database, table: str) -> int:
    """How many rows there are."""
    [result] = await db.batch([Statement(f"SELECT count(*) FROM {table}")])
    return int(str(result.rows[0][0]))


async def test_of_two_registrations_of_one_account_one_is_refused(two: Two) -> None:
    for number in range(ROUNDS):
        account = Account(f"anna {number}")
        done = await asyncio.gather(*(registered(db, account) for db in two), return_exceptions=True)
        kinds = Counter(type(outcome) for outcome in done)
        assert kinds == {DeviceLog: 1, ConstraintViolated: 1}
    for table in ("accounts", "devices", "device_log", "refresh_tokens", "recoveries"):
        assert await count(two[0], table) == ROUNDS


async def test_of_two_entries_in_one_place_of_a_log_one_is_appended(two: Two) -> None:
    for number in range(ROUNDS):
        account = Account(f"anna {number}")
        log = await registered(two[0], account)
        rivals = [account.add_entry(Keys(f"{name} {number}")) for name in ("phone", "tablet")]
        done = await asyncio.gather(
            *(
                db.batch(accounts.append(log, signed, accounts.addition(log, log.append(signed), [], 1)))
                for db, signed in zip(two, rivals, strict=True)
            )
        )
        assert sorted(results[-1].changed for results in done) == [0, 1]
        winner = rivals[[results[-1].changed for results in done].index(1)]
        kept = await accounts.entries(two[1], account.id, 0, 10)
        assert [signed.entry for signed in kept] == [account.entries[0].entry, winner.entry]
        # The loser's devices were not written either.
        assert await accounts.added(two[0], account.id) == dict.fromkeys(log.append(winner).devices, 1)


async def test_the_same_entry_twice_at_once_is_appended_once(two: Two) -> None:
    account = Account("anna")
    log = await registered(two[0], account)
    for number in range(ROUNDS):
        signed = account.add_entry(Keys(f"device {number}"))
        account.append(signed)
        changes = accounts.addition(log, log.append(signed), [], 1)
        done = await asyncio.gather(*(db.batch(accounts.append(log, signed, changes)) for db in two))
        assert sorted(results[-1].changed for results in done) == [0, 1]
        log = log.append(signed)
    assert await count(two[0], "device_log") == ROUNDS + 1


async def test_a_refresh_token_that_is_spent_twice_at_once_ends_its_family(two: Two) -> None:
    for number in range(ROUNDS):
        account = Account(f"anna {number}")
        await registered(two[0], account)
        await two[0].batch(
            [sign_in.insert_token(numbered(number), numbered(number), account.id, account.first.id, 1000)]
        )
        done = await asyncio.gather(
            *(
                sign_in.renew_token(db, numbered(number), numbered(number) + name, 10, 1000)
                for db, name in zip(two, (b"one", b"two"), strict=True)
            )
        )
        assert sorted(renewed.outcome for renewed in done) == ["renewed", "reused"]
        # Whoever got the new token cannot use it any more.
        [result] = await two[0].batch(
            [Statement("SELECT count(*) FROM refresh_tokens WHERE family = ?", (numbered(number),))]
        )
        assert result.rows == [(0,)]


async def test_a_challenge_is_spent_once(two: Two) -> None:
    account = Account("anna")
    await registered(two[0], account)
    for number in range(ROUNDS):
        await sign_in.put_challenge(two[number % 2], numbered(number), account.first.id, 1000)
        done = await asyncio.gather(*(sign_in.spend_challenge(db, numbered(number), 10) for db in two))
        assert Counter(spent.device for spent in done) == {account.first.id: 1, None: 1}


async def test_of_two_guests_messages_one_is_kept(two: Two) -> None:
    account = Account("anna")
    await registered(two[0], account)
    for number in range(ROUNDS):
        await mailboxes.open_mailbox(two[0], numbered(number), account.id, b"hash", 1000)
        done = await asyncio.gather(
            *(
                mailboxes.put_message(db, numbered(number), "guest", 0, name, 10)
                for db, name in zip(two, (b"one", b"two"), strict=True)
            )
        )
        assert sorted(done) == [False, True]
        there, message = await mailboxes.message_of(two[0], numbered(number), "guest", 0, 10)
        assert there and message == (b"one", b"two")[done.index(True)]


async def test_of_two_places_for_one_database_both_learn_the_one(two: Two) -> None:
    registries = [DirectoryRegistry(db) for db in two]
    for number in range(ROUNDS):
        places = await asyncio.gather(
            *(
                registry.put(numbered(number), home)
                for registry, home in zip(registries, ("files", "sqld"), strict=True)
            )
        )
        assert places[0] == places[1] == await registries[0].place(numbered(number))
        assert places[0] in (Place("files"), Place("sqld"))


async def test_a_place_tells_how_its_database_stands(two: Two) -> None:
    registry, account = DirectoryRegistry(two[0]), numbered(1)
    await registry.put(account, "files")
    for version, failed in ((3, None), (3, "storage_failed"), (3, "storage_failed"), (4, None), (4, None)):
        await registry.migrated(account, version, failed)
        assert await DirectoryRegistry(two[1]).place(account) == Place(
            "files", version=version, failed=failed
        )
    await registry.remove(account)
    assert await count(two[1], "databases") == 0


async def test_two_that_change_different_things_do_not_hinder_each_other(two: Two) -> None:
    people = [Account(f"person {number}") for number in range(ROUNDS * 2)]
    await asyncio.gather(*(registered(two[number % 2], person) for number, person in enumerate(people)))
    done = await asyncio.gather(
        *(
            sign_in.renew_token(two[number % 2], person.id + b"first", person.id + b"second", 10, 1000)
            for number, person in enumerate(people)
        )
    )
    # One family for all of them: whoever comes second has not spent this token before.
    assert {renewed.outcome for renewed in done} == {"renewed"}
    assert await count(two[0], "refresh_tokens") == 2 * len(people)
