"""Two machines, one directory, one sqld: either answers for every account, dies under load, or is frozen."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from echolia.storage.engine import Statement
from echolia.storage.hrana.names import load_names
from tests.deployment.processes import clean_environment, get, wait_until
from tests.support.postgres import Postgres
from tests.support.process import ServerProcess
from tests.support.pushing import WRITTEN_BY, Person, people_of
from tests.support.sqld import SqldProcess

WORKERS, PEOPLE, TAKEOVER_S = 2, 8, 3
# What machines have to have alike, as docs/operations.md says.
SHARED = ("cluster.key", "databases.key")

pytestmark = [pytest.mark.service, pytest.mark.slow]


class Machine(ServerProcess):
    """A server with workers and a data folder of its own."""

    def start(self) -> None:
        """Start it and wait until it answers."""
        super().start()
        wait_until(lambda: get(self.port, "/readyz")[0] == 200, "it answers")

    def processes(self) -> list[psutil.Process]:
        """The supervisor and its workers."""
        supervisor = psutil.Process(self.pid)
        return [supervisor, *supervisor.children()]

    def signal(self, number: signal.Signals) -> None:
        """To all at once."""
        for process in self.processes():
            os.kill(process.pid, number)

    def lose(self) -> None:
        """It is gone without a word."""
        self.signal(signal.SIGKILL)
        self.kill()


class Site:
    """Both machines and what they share."""

    def __init__(self, postgres: Postgres, cell: SqldProcess, folder: Path) -> None:
        homes = cell.folder / "homes.toml"
        homes.write_text(
            f'[cell-1]\nkind = "sqld"\nurl = "{cell.url}"\nadmin_url = "{cell.admin_url}"\n'
            'admin_key_file = "admin.key"\nsigning_key_file = "signing.pem"\n'
        )
        self.folder = folder
        self.postgres, self.cell, self.directory = postgres, cell, postgres.fresh()
        shared = {
            "address": "127.0.0.1:0",
            "takeover_seconds": str(TAKEOVER_S),
            "workers": str(WORKERS),
            "directory_url": self.directory,
            "directory_connections": "4",
            "homes": str(homes),
            "new_accounts": "cell-1",
        }
        self.one, self.two = (Machine(folder / name, **shared) for name in ("one", "two"))

    def start(self) -> None:
        """Start the first machine, give the second what they share, start it."""
        self.one.start()
        self.two.folder.mkdir()
        for name in SHARED:
            shutil.copy(self.one.folder / name, self.two.folder / name)
        self.two.start()

    def refused(self, name: str) -> str:
        """What a server of this folder says that would serve alone, and does not."""
        command = [sys.executable, "-m", "echolia", "serve", "--port", "0", "--data", str(self.folder / name)]
        environment = clean_environment(ECHOLIA_DIRECTORY_URL=self.directory)
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 1
        return done.stderr

    @property
    def urls(self) -> list[str]:
        """Where devices reach them."""
        return [self.one.url, self.two.url]

    def owners(self) -> dict[str, int]:
        """How many accounts' slots each machine has, by its id."""
        sql = "SELECT encode(host, 'hex'), count(*) FROM slots JOIN workers ON owner = worker GROUP BY host"
        return dict(self.postgres.execute(sql, self.directory))

    async def until(self, true: Callable[[dict[str, int]], bool]) -> float:
        """Wait until it is true of the owners; how long that took in seconds."""
        begun = time.monotonic()
        async with asyncio.timeout(60):
            while not true(await asyncio.to_thread(self.owners)):  # noqa: ASYNC110  # of other processes
                await asyncio.sleep(0.1)
        return time.monotonic() - begun

    async def asked(self, person: Person, sql: str) -> list[Any]:
        """What a person's database holds; or have it changed."""
        place = self.cell.place()
        db = place.database(load_names(self.one.folder / "databases.key").of(person.account.id))
        try:
            return (await db.batch([Statement(sql)]))[0].rows
        finally:
            await db.close()
            await place.close()

    async def check(self, person: Person) -> None:
        """All that was acknowledged is there once, no run was written by an owner of before."""
        fences = [fence for (fence,) in await self.asked(person, "SELECT fence FROM written_by ORDER BY seq")]
        [(stored,)] = await self.asked(person, "SELECT count(*) FROM runs")
        assert stored == len(fences) == person.acknowledged
        assert fences == sorted(fences)


def shared_evenly(owners: dict[str, int]) -> bool:
    """Whether both machines have half."""
    return sorted(owners.values()) == [128, 128]


def one_has_all(owners: dict[str, int]) -> bool:
    """Whether one machine has everything that anybody has; the rest is claimed by who is asked for it."""
    return len(owners) == 1


@pytest.fixture
def site(service_binary: Callable[[str, str], str], postgres: Postgres, tmp_path: Path) -> Iterator[Site]:
    """Both run."""
    cell = SqldProcess(service_binary, tmp_path / "cell")
    cell.start()
    with ExitStack() as stack:
        stack.callback(cell.stop)
        site = Site(postgres, cell, tmp_path)
        stack.callback(postgres.drop, site.directory)
        stack.callback(site.one.stop)
        stack.callback(site.two.stop)
        site.start()
        yield site


@pytest.fixture
async def people(site: Site) -> AsyncIterator[list[Person]]:
    """Accounts whose devices ask either machine in turn."""
    async with people_of(site.urls, PEOPLE, patience_s=2) as people:
        for person in people:
            await person.register()
            for sql in WRITTEN_BY:
                await site.asked(person, sql)
        await site.until(shared_evenly)
        yield people


async def lost(site: Site, people: list[Person]) -> tuple[float, float]:
    """The second machine is lost and comes back: how long its accounts had no owner, and people to wait."""
    lost_at = time.monotonic()
    await asyncio.to_thread(site.two.lose)
    took_s = await site.until(one_has_all)
    await served_again(people, lost_at + took_s)
    waits = [next(at for at in person.at if at > lost_at + TAKEOVER_S / 2) - lost_at for person in people]
    await asyncio.to_thread(site.two.start)
    await site.until(shared_evenly)
    return took_s, max(waits)


async def frozen(site: Site, people: list[Person]) -> None:
    """The second machine stands still until others have its accounts, then goes on where it was."""
    await asyncio.to_thread(site.two.signal, signal.SIGSTOP)
    try:
        await site.until(one_has_all)
        await served_again(people, time.monotonic())
    finally:
        site.two.signal(signal.SIGCONT)
    await site.until(shared_evenly)


async def served_again(people: list[Person], since: float) -> None:
    """Everybody's pushes are acknowledged."""
    async with asyncio.timeout(60):
        while not all(person.at and person.at[-1] > since for person in people):  # noqa: ASYNC110  # of other processes
            await asyncio.sleep(0.1)


async def test_a_machine_is_lost_and_frozen_under_load(site: Site, people: list[Person]) -> None:
    end = asyncio.Event()
    pushing = [asyncio.create_task(person.push_until(end)) for person in people]
    await served_again(people, time.monotonic() + 1)
    took_s, wait_s = await lost(site, people)
    await frozen(site, people)
    await asyncio.wait(pushing, timeout=1)
    end.set()
    await asyncio.gather(*pushing)
    for person in people:
        assert [await person.head(), await person.head()] == [person.acknowledged] * 2
        await site.check(person)
    assert "internal" not in site.one.log.read_text() + site.two.log.read_text()
    await asyncio.to_thread(site.one.stop)
    assert "[machines_serve]" in await asyncio.to_thread(site.refused, "one")
    total = sum(person.acknowledged for person in people)
    print(  # noqa: T201  # figures for whoever asks for them
        f"{total} pushes acknowledged; a lost machine's accounts were others' after {took_s:.1f} s,"
        f" the last to be served again waited {wait_s:.1f} s"
    )
