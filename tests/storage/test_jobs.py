"""Jobs are done at least once, by one process at a time, and wait longer the more often they fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from echolia.core.errors import EcholiaError
from echolia.storage import jobs
from echolia.storage.engine import Database
from echolia.storage.jobs import LEASE_MS, MOST_ATTEMPTS, Handler
from echolia.web.context import Refusal
from echolia.working import Workshop
from tests.support.engine_fixtures import engine
from tests.support.engines import opened_directory

__all__ = ["engine"]  # each test runs on both engines


class Time:
    """Milliseconds that pass when told to, and dice that are all different."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.thrown = 0

    def __call__(self) -> int:
        return self.now_ms

    def dice(self, size: int) -> bytes:
        """Bytes of the number of the throw."""
        self.thrown += 1
        return self.thrown.to_bytes(size, "big")


class Doing:
    """A handler that notes what it did, and fails as long as `failing` is set."""

    def __init__(self) -> None:
        self.did: list[bytes] = []
        self.failing: Exception | None = None

    async def __call__(self, subject: bytes) -> None:
        if self.failing is not None:
            raise self.failing
        self.did.append(subject)


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Database]:
    """A directory."""
    async with opened_directory(tmp_path) as db:
        yield db


@pytest.fixture
def time() -> Time:
    """The time."""
    return Time()


async def ask(db: Database, time: Time, *subjects: bytes, kind: str = "fetch") -> None:
    """Ask for jobs."""
    await db.batch([jobs.asked(kind, subject, time.now_ms) for subject in subjects])


def workshop(db: Database, time: Time, doing: Doing, every_ms: int | None = None) -> Workshop:
    """Who does jobs of one kind."""
    return Workshop(db, {"fetch": Handler(doing, every_ms)}, time, time.dice)


async def test_what_is_asked_for_is_done_once(directory: Database, time: Time) -> None:
    doing = Doing()
    await ask(directory, time, b"one", b"two", b"one")
    shop = workshop(directory, time, doing)
    assert (await shop.run_due(), await shop.run_due()) == (2, 0)
    assert sorted(doing.did) == [b"one", b"two"]
    assert await jobs.listed(directory, time.now_ms, 10, dead=False) == []


async def test_many_processes_do_each_once(directory: Database, time: Time) -> None:
    doing = Doing()
    subjects = [bytes([n]) for n in range(60)]
    await ask(directory, time, *subjects)
    shops = [workshop(directory, time, doing) for _ in range(4)]
    assert sum(await asyncio.gather(*(shop.run_due() for shop in shops))) == 60
    assert sorted(doing.did) == subjects


async def test_what_is_asked_for_while_it_runs_is_done_again(directory: Database, time: Time) -> None:
    await ask(directory, time, b"one")
    job = await jobs.claim(directory, time.now_ms, b"f" * 16)
    assert job is not None
    await ask(directory, time, b"one")
    assert await jobs.claim(directory, time.now_ms, b"g" * 16) is None  # one at a time
    assert await jobs.done(directory, job, time.now_ms)
    doing = Doing()
    assert await workshop(directory, time, doing).run_due() == 1


async def test_who_died_loses_the_job_and_cannot_end_it(directory: Database, time: Time) -> None:
    await ask(directory, time, b"one")
    late = await jobs.claim(directory, time.now_ms, b"f" * 16)
    assert late is not None
    time.now_ms += LEASE_MS
    other = await jobs.claim(directory, time.now_ms, b"g" * 16)
    assert other is not None
    assert other.id == late.id
    assert not await jobs.done(directory, late, time.now_ms)
    await jobs.failed(directory, late, time.now_ms, "internal", 0.5)
    assert await jobs.done(directory, other, time.now_ms)


@pytest.mark.parametrize("error", [EcholiaError("store_unavailable"), ValueError("its text"), TimeoutError()])
async def test_pauses_double_and_in_the_end_it_is_given_up(
    directory: Database, time: Time, error: Exception
) -> None:
    doing = Doing()
    doing.failing = error
    await ask(directory, time, b"one")
    shop, pauses, given_up = workshop(directory, time, doing), [], False
    while not given_up:
        assert await shop.run_due() == 1
        (listed,) = await jobs.listed(directory, time.now_ms, 10, dead=False)
        pauses.append(listed.due_ms - time.now_ms)
        given_up = listed.dead
        if not given_up:
            await ask(directory, time, b"one")  # asking does not make it sooner
            assert await shop.run_due() == 0
        time.now_ms = listed.due_ms
    assert (len(pauses), shop.failed, shop.given_up) == (MOST_ATTEMPTS, MOST_ATTEMPTS, 1)
    assert 1000 <= pauses[0] <= 2000
    assert max(pauses) <= 3_600_000
    assert all(1 < later / earlier < 4.1 for earlier, later in pairwise(pauses[:10]))
    assert sum(pauses) > 12 * 3_600_000


async def test_the_dead_are_listed_and_retried(directory: Database, time: Time) -> None:
    doing = Doing()
    doing.failing = EcholiaError("store_unavailable")
    await ask(directory, time, b"one")
    shop = workshop(directory, time, doing)
    for _ in range(MOST_ATTEMPTS):
        await shop.run_due()
        time.now_ms += 3_600_000
    (dead,) = await jobs.listed(directory, time.now_ms, 10, dead=True)
    assert (dead.dead, dead.code, dead.attempts) == (True, "store_unavailable", MOST_ATTEMPTS)
    assert await jobs.counts(directory) == [("fetch", True, 1)]
    doing.failing = None
    assert await shop.run_due() == 0
    assert await jobs.retry(directory, time.now_ms) == 1
    assert await shop.run_due() == 1
    assert doing.did == [b"one"]


async def test_who_is_told_to_wait_waits_at_least_so_long(directory: Database, time: Time) -> None:
    doing = Doing()
    doing.failing = Refusal("store_unavailable", retry_after_s=600)
    await ask(directory, time, b"one")
    shop = workshop(directory, time, doing)
    await shop.run_due()
    (listed,) = await jobs.listed(directory, time.now_ms, 10, dead=False)
    assert listed.due_ms == time.now_ms + 600_000


async def test_a_standing_job_comes_again_and_is_never_given_up(directory: Database, time: Time) -> None:
    doing = Doing()
    shop = workshop(directory, time, doing, every_ms=60_000)
    await shop.begin()
    await workshop(directory, time, doing, every_ms=60_000).begin()  # another process
    assert (await shop.run_due(), await shop.run_due()) == (1, 0)
    time.now_ms += 60_000
    assert await shop.run_due() == 1
    doing.failing = EcholiaError("store_unavailable")
    for _ in range(MOST_ATTEMPTS + 5):
        time.now_ms += 3_600_000
        assert await shop.run_due() == 1
    assert shop.given_up == 0


async def test_a_kind_that_nobody_knows_waits_for_who_does(directory: Database, time: Time) -> None:
    await ask(directory, time, b"one", kind="of a newer version")
    shop = workshop(directory, time, Doing())
    await shop.run_due()
    (listed,) = await jobs.listed(directory, time.now_ms, 10, dead=False)
    assert (listed.code, listed.dead) == ("unavailable", False)


async def test_a_condition_decides_whether_it_is_asked_for(directory: Database, time: Time) -> None:
    for holds in (0, 1):
        await directory.batch([jobs.asked_where("fetch", bytes([holds]), time.now_ms, "1 = ?4", holds)])
    doing = Doing()
    assert await workshop(directory, time, doing).run_due() == 1
    assert doing.did == [b"\1"]
