"""Several processes serve the same accounts, and nobody who asks notices which one."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from echolia.core.ids import b64
from echolia.core.push import PUSH_TYPE, write_push
from echolia.storage.engine import DatabaseElsewhere, Statement
from echolia.storage.fencing import fenced
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sqlite.user_files import user_path
from tests.support.accounts import Account, Keys, entry_json
from tests.support.asgi import Asker, Stream
from tests.support.devices import InProcess, World
from tests.support.file_databases import file_databases
from tests.support.runs import Writer
from tests.support.server import START_S, Clock
from tests.workers.conftest import Crew, crew_of


class Person:
    """An account's first device, which asks whichever process it is told to."""

    def __init__(self, seed: str) -> None:
        self.account = Account(seed)
        first = self.account.first
        self.token = ""
        self.writer = Writer(self.account.id)
        self.writer.secret, self.writer.public = bytes(first.signing), first.sign
        self.writer.device = first.id

    async def register(self, ask: Asker) -> None:
        """Make the account."""
        answer = await ask("POST", "/auth/register", self.account.registration())
        assert answer.status == 201, answer.body
        self.token = answer.json()["tokens"]["access"]

    async def push(self, ask: Asker) -> int:
        """Push one change more; the log's head after it."""
        self.writer.write(1)
        body = write_push([self.writer.run(first=len(self.writer.changes))])
        headers = {"content-type": PUSH_TYPE}
        answer = await ask("POST", "/sync/push", body=body, headers=headers, token=self.token)
        assert answer.status == 200, answer.body
        return int(answer.json()["head"]["seq"])

    async def head(self, ask: Asker) -> int:
        """The log's head."""
        answer = await ask("GET", "/sync/status", token=self.token)
        assert answer.status == 200, answer.body
        return int(answer.json()["head"]["seq"])


async def test_any_process_answers_for_any_account(crew: Crew) -> None:
    asks = [await crew.start() for _ in range(3)]
    people = [Person(f"person {n}") for n in range(12)]
    await asyncio.gather(*(one.register(asks[n % 3]) for n, one in enumerate(people)))
    for turn in range(3):
        pushed = await asyncio.gather(*(one.push(asks[(n + turn) % 3]) for n, one in enumerate(people)))
        assert pushed == [turn + 1] * 12
    for ask in asks:
        assert await asyncio.gather(*(one.head(ask) for one in people)) == [3] * 12
    owners = await crew.owners()
    assert sum(owners.values()) == 256
    assert len(owners.keys() - {None}) == 3, "nobody has nothing, nobody has all"


async def test_a_process_ends_and_its_accounts_go_on(crew: Crew) -> None:
    asks = [await crew.start() for _ in range(3)]
    people = [Person(f"person {n}") for n in range(12)]
    await asyncio.gather(*(one.register(asks[n % 3]) for n, one in enumerate(people)))
    await asyncio.gather(*(one.push(asks[0]) for one in people))
    await crew.end(1)
    await crew.end(2)
    assert await asyncio.gather(*(one.push(asks[0]) for one in people)) == [2] * 12
    again = await crew.start()
    assert await asyncio.gather(*(one.push(again) for one in people)) == [3] * 12


async def test_a_deletion_that_was_interrupted_is_finished_by_who_gets_the_account(tmp_path: Path) -> None:
    person = Person("anna")
    async with crew_of(tmp_path, 1) as crew:
        await person.register(await crew.start())
        begun = Statement("UPDATE accounts SET deleting = 1 WHERE account = ?", (person.account.id,))
        await crew.directory.batch([begun])
        await crew.end(0)
        async with asyncio.timeout(60):  # it must not wait for itself
            await crew.start()
        left = await crew.directory.batch([Statement("SELECT account FROM accounts")], tx=False)
    assert left[0].rows == []
    assert not user_path(tmp_path / "users", person.account.id).exists()


async def test_requests_that_run_while_an_account_is_handed_over_are_all_answered(crew: Crew) -> None:
    asks = [await crew.start()]
    person = Person("anna")
    await person.register(asks[0])

    running: Counter[int] = Counter()

    async def ask_often() -> None:
        for n in range(400):
            ask = asks[n % len(asks)]
            running[id(ask)] += 1
            await person.head(ask)
            running[id(ask)] -= 1

    asking = [asyncio.create_task(ask_often()) for _ in range(4)]
    for _ in range(2):
        asks.append(await crew.start())
        await asyncio.sleep(0)
    for number in (0, 1):
        ending, asks[number] = asks[number], asks[2]
        while running[id(ending)]:  # a server ends once it has answered
            await person.head(asks[2])
        await crew.end(number)
    await asyncio.gather(*asking)


async def test_devices_pair_and_sync_through_different_processes(crew: Crew, tmp_path: Path) -> None:
    asks = [await crew.start() for _ in range(3)]
    async with AsyncExitStack() as stack:
        world = World(asks[0], Clock(START_S), tmp_path / "homes", stack)
        world.transports["phone"] = InProcess(asks[1])
        laptop = await world.first()
        notes = laptop.collection("entries")
        note = await notes.create({"body": "from the laptop"})
        await laptop.sync()
        phone = await world.added(laptop)
        await phone.sync()
        assert (await phone.collection("entries").get(note)).fields["body"] == "from the laptop"
        world.transports["laptop"].ask_server = asks[2]
        await phone.collection("entries").update(note, {"body": "from the phone"})
        await phone.sync()
        await laptop.sync()
        assert (await notes.get(note)).fields["body"] == "from the phone"


async def test_who_listens_at_one_process_hears_what_another_was_told(crew: Crew) -> None:
    asks = [await crew.start() for _ in range(3)]
    person = Person("anna")
    await person.register(asks[0])
    streams: list[Stream] = []
    async with AsyncExitStack() as stack:
        for ask in asks:
            stream = await stack.enter_async_context(ask.stream("/sync/live", person.token))
            streams.append(stream)
        for stream in streams:
            await stream.until(b"event: head")
        await person.push(asks[1])
        for stream in streams:
            await stream.until(b'"seq": 1}')


async def test_a_device_that_recovery_added_anywhere_may_push(crew: Crew) -> None:
    asks = [await crew.start() for _ in range(3)]
    person = Person("anna")
    await person.register(asks[0])
    await person.push(asks[0])
    new = Keys("anna's new device")
    entry = person.account.recover_entry(new)
    body = {**entry_json(entry), "account": b64(person.account.id), "key_boxes": []}
    for ask in asks:  # the same again changes nothing
        answer = await ask("POST", "/auth/recovery/devices", body)
        assert answer.status == 204, answer.body
    person.account.append(entry)
    for ask in asks:
        signed_in = await person.account.sign_in(ask, new)
        token = signed_in.json()["access"]
        assert (await ask("GET", "/auth/devices", token=token)).json()["n"] == 2


async def test_only_the_last_owner_of_a_database_reads_and_writes(tmp_path: Path) -> None:
    driver, account = SqliteDriver(2), b"a" * 16
    databases = file_databases(tmp_path, driver)
    await databases.create(account, [Statement("INSERT INTO account VALUES (1, ?, 7, 0)", (account,))])
    path = user_path(tmp_path, account)
    former = await fenced(await driver.open(path), 3)
    write = Statement("UPDATE account SET epoch = epoch + 1")
    await former.batch([write])
    owner = await fenced(await driver.open(path), 4)
    read = Statement("SELECT epoch FROM account")
    for statements in ([write], [write, write], [read]):
        with pytest.raises(DatabaseElsewhere) as caught:
            await former.batch(statements)
        assert caught.value.code == "storage_elsewhere"
    with pytest.raises(DatabaseElsewhere):
        await fenced(await driver.open(path), 3)
    await owner.batch([write])
    (found,) = await owner.batch([Statement("SELECT epoch, fence FROM account")], tx=False)
    assert found.rows == [(9, 4)]
    for db in (former, owner):
        await db.close()
    await driver.close()
