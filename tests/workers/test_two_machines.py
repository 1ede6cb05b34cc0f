"""Two data folders over one directory, as on two machines: what is handed over goes by TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from echolia.app import running
from echolia.core.errors import EcholiaError
from echolia.storage.databases import FILES
from echolia.storage.directory import open_directory
from echolia.storage.engine import Database, FileDriver
from echolia.storage.migrate import Migration, load_migrations
from echolia.storage.provisioner import Provisioner
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.storage.sqlite.provisioner import Files
from echolia.workers import store
from echolia.workers.node import folder_of
from echolia.workers.operating import asking
from echolia.workers.store import slot_of
from tests.support.accounts import Account
from tests.support.asgi import Asker
from tests.support.server import settings_for

NAMES = ("one", "two")


class Machines:
    """Both run, each with one worker; accounts' databases are where both reach them."""

    def __init__(self, folder: Path, directory: Database) -> None:
        self.folder, self.directory = folder, directory
        self.asks: list[Asker] = []

    def _homes(
        self, _data: Path, driver: FileDriver, migrations: Sequence[Migration]
    ) -> Mapping[str, Provisioner]:
        return {FILES: Files(self.folder / "users", driver, migrations)}

    async def start(self, stack: AsyncExitStack, name: str, key: bytes = b"k" * 32) -> Asker:
        """Start one of them."""
        data = self.folder / name
        data.mkdir()
        (data / "cluster.key").write_bytes(key)
        settings = settings_for(data, address="127.0.0.1:0", takeover_seconds=1.5)
        gate = await stack.enter_async_context(running(settings, directory=self.directory, homes=self._homes))
        self.asks.append(Asker(gate))
        return self.asks[-1]

    async def until_shared(self) -> None:
        """Wait until both have half."""
        async with asyncio.timeout(60):
            while True:
                known = await store.look(self.directory)
                if [sum(slot.owner == one for slot in known.slots) for one in known.workers] == [128, 128]:
                    return

    async def host_of(self, account: Account) -> bytes:
        """The machine that has an account."""
        known = await store.look(self.directory)
        owner = known.slots[slot_of(account.id)].owner
        assert owner is not None
        return known.workers[owner].host


@pytest.fixture
async def machines(tmp_path: Path) -> AsyncIterator[Machines]:
    """Their directory; neither has started."""
    driver = SqliteDriver(2)
    directory = await open_directory(tmp_path / "directory.db", driver, load_migrations("directory"))
    yield Machines(tmp_path, directory)
    await directory.close()
    await driver.close()


async def test_either_answers_for_all_and_takes_the_other_s_tokens(machines: Machines) -> None:
    people = [Account(f"person {n}") for n in range(8)]
    async with AsyncExitStack() as stack:
        asks = [await machines.start(stack, name) for name in NAMES]
        await machines.until_shared()
        tokens = []
        for n, person in enumerate(people):
            answer = await asks[n % 2]("POST", "/auth/register", person.registration())
            assert answer.status == 201, answer.body
            tokens.append(answer.json()["tokens"]["access"])
        assert len({await machines.host_of(person) for person in people}) == 2
        for ask in asks:
            for token in tokens:
                answer = await ask("GET", "/sync/status", token=token)
                assert (answer.status, answer.json()["head"]["seq"]) == (200, 0)
    assert (await store.look(machines.directory)).workers == {}


@pytest.mark.slow  # as long as it is tried
async def test_with_another_key_nothing_is_handed_over(machines: Machines) -> None:
    people = [Account(f"person {n}") for n in range(8)]
    async with AsyncExitStack() as stack:
        one = await machines.start(stack, "one")
        for person in people:
            await person.register(one)
        await machines.start(stack, "two", b"o" * 32)
        await machines.until_shared()
        codes = {(await person.sign_in(machines.asks[1])).status for person in people}
        assert codes == {200}, "signing in needs the directory alone"
        tokens = [(await person.sign_in(machines.asks[1])).json()["access"] for person in people]
        answers = await asyncio.gather(
            *(machines.asks[1]("GET", "/sync/status", token=token) for token in tokens)
        )
        assert {answer.status for answer in answers} == {200, 503}
        assert {answer.code for answer in answers if answer.status == 503} == {"storage_elsewhere"}


async def told_by(folder: Path, people: list[Account]) -> set[str]:
    """Whom a machine tells of; of the others it says which machine to ask."""
    told = set()
    async with asking(folder) as operator:
        assert operator is not None
        for person in people:
            try:
                told.add((await operator.show(person.id.hex()))["account"])
            except EcholiaError as error:
                found = (error.code, "machine at 127.0.0.1:" in error.detail)
                assert found == ("unavailable", True)
    assert len(told) < len(people)
    return told


async def test_operators_are_told_which_machine_to_ask(machines: Machines) -> None:
    people = [Account(f"person {n}") for n in range(8)]
    async with AsyncExitStack() as stack:
        asks = [await machines.start(stack, name) for name in NAMES]
        for person in people:
            await person.register(asks[0])
        await machines.until_shared()
        told: set[str] = set()
        # A machine that an account has just come to may not have looked yet, and send back to the former one.
        async with asyncio.timeout(30):
            while len(told) < len(people):
                for name in NAMES:
                    told |= await told_by(folder_of(machines.folder / name), people)
