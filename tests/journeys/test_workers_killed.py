"""kill -9 of workers at random under load: nothing acknowledged is missing, nobody has two owners."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import statistics
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.support.process import ServerProcess
from tests.support.pushing import WRITTEN_BY, Person, people_of

KILLS = int(os.environ.get("ECHOLIA_WORKER_KILLS", "4"))
WORKERS, PEOPLE = 4, 12
pytestmark = pytest.mark.slow


def owners_of(data: Path) -> dict[int, str]:
    """The owner of each slot."""
    with closing(sqlite3.connect(f"file:{data / 'directory.db'}?mode=ro", uri=True)) as directory:
        return dict(directory.execute("SELECT slot, hex(owner) FROM slots"))


async def test_nothing_acknowledged_is_lost_and_nobody_has_two_owners(tmp_path: Path) -> None:
    dice, end = random.Random(11), asyncio.Event()
    killed: list[tuple[float, dict[int, str]]] = []
    with ServerProcess(tmp_path / "data", workers=str(WORKERS)) as server:
        async with people_of([server.url], PEOPLE) as people:
            for person in people:
                await person.register()
                with closing(sqlite3.connect(database_of(server, person))) as database:
                    database.executescript(";".join(WRITTEN_BY))
            pushing = [asyncio.create_task(person.push_until(end)) for person in people]
            for _ in range(KILLS):
                await asyncio.wait(pushing, timeout=0.5 + dice.random())
                workers = psutil.Process(server.pid).children()
                killed.append((time.monotonic(), owners_of(server.folder)))
                dice.choice(workers).kill()
            await asyncio.wait(pushing, timeout=2)
            end.set()
            await asyncio.gather(*pushing)
            assert [await person.head() for person in people] == [one.acknowledged for one in people]
        assert "internal" not in server.log.read_text()
    for person in people:
        check_owners(database_of(server, person), person.acknowledged)
    tell(people, [at for at, _ in killed])


async def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", workers="2")
    for end in (server.kill, server.stop):
        server.start()
        async with people_of([server.url], PEOPLE) as people:
            for person in people[:2]:
                assert await person.is_answered()
        workers = psutil.Process(server.pid).children()
        assert len(workers) == 2
        end()
        gone, alive = await asyncio.to_thread(psutil.wait_procs, workers, 30)
        assert (len(gone), alive) == (2, [])


def database_of(server: ServerProcess, person: Person) -> Path:
    """The file of a person's database."""
    name = person.account.id.hex()
    return server.folder / "users" / name[:2] / f"{name}.db"


def check_owners(path: Path, acknowledged: int) -> None:
    """Each run was written by the owner of before or a later one, all that was acknowledged is there once."""
    with closing(sqlite3.connect(path)) as database:
        fences = [fence for (fence,) in database.execute("SELECT fence FROM written_by ORDER BY seq")]
        (count,) = database.execute("SELECT count(*) FROM runs").fetchone()
    assert count == len(fences) == acknowledged
    assert fences == sorted(fences)


def tell(people: list[Person], killed_at: list[float]) -> None:
    """Print how long those had to wait who waited longest after each kill."""
    waits = []
    for kill in killed_at:
        gaps = [next((at for at in one.at if at > kill), kill) - kill for one in people]
        waits.append(max(gaps))
    total = sum(one.acknowledged for one in people)
    print(  # noqa: T201  # figures for whoever asks for them
        f"{total} pushes acknowledged, {len(killed_at)} workers killed; the longest wait after a kill: "
        f"median {statistics.median(waits):.2f} s, most {max(waits):.2f} s"
    )
