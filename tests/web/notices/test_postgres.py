"""Notices by a real PostgreSQL: what strangers in it can do, what happens while it is away or silent."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import structlog

from echolia.storage.migrate import load_migrations
from echolia.storage.postgres.channel import Channel
from echolia.storage.postgres.connections import Address
from echolia.storage.postgres.directory import open_postgres_directory
from echolia.web.notices.form import TOLD_BYTES
from echolia.web.notices.port import MISSED, Ended, HeadMoved
from echolia.web.notices.postgres import CHANNEL, TOGETHER, PostgresNotices
from tests.contracts.notices import ANNA, BEN, PHONE, Ear, PostgresMedium, goes_on, process, until
from tests.support.postgres import Postgres

pytestmark = pytest.mark.service

LISTENING = (
    " FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND query IN ('LISTEN echolia_notices', 'SELECT 1')"
)


@pytest.fixture
async def medium(postgres: Postgres) -> AsyncIterator[PostgresMedium]:
    """A directory."""
    medium = PostgresMedium(postgres)
    yield medium
    await medium.close()


@pytest.fixture
def mortal(service_binary: Callable[[str, str], str]) -> Iterator[Postgres]:
    """A PostgreSQL of the test's own, to be killed."""
    with Postgres(service_binary) as cluster:
        yield cluster


async def test_what_is_no_notice_is_nothing(medium: PostgresMedium) -> None:
    words = ("", "x", "ü", b64encode(bytes(TOLD_BYTES - 1)).decode(), "kanariya" * 900)
    async with process(medium) as (tell, _), process(medium) as (_, ear):
        for word in words:
            medium.postgres.execute(f"NOTIFY {CHANNEL}, '{word}'", medium.url)
        medium.postgres.execute("NOTIFY another, 'x'", medium.url)
        tell(Ended(BEN, None))
        await ear.hears(Ended(BEN, None))
        assert ear.heard == [Ended(BEN, None)]


async def test_servers_of_other_databases_do_not_hear_each_other(medium: PostgresMedium) -> None:
    other, ear = PostgresMedium(medium.postgres), Ear()
    async with (await other.notices()).joined(ear), process(medium) as (tell, _), process(medium) as (_, own):
        await ear.until(lambda: ear.missed > 0)
        tell(Ended(ANNA, None))
        await own.hears(Ended(ANNA, None))
        assert ear.heard == []
    await other.close()


async def test_many_come_in_their_order_though_one_word_does_not_hold_them(medium: PostgresMedium) -> None:
    told = [Ended(n.to_bytes(16, "big"), PHONE) for n in range(TOGETHER * 3 + 1)]
    async with process(medium) as (tell, _), process(medium) as (_, ear):
        for notice in told:
            tell(notice)
        await ear.until(lambda: len(ear.heard) == len(told))
        assert ear.heard == told


async def test_a_listener_whose_connection_ends_says_so_and_goes_on(medium: PostgresMedium) -> None:
    ear = Ear()
    async with (await medium.notices()).joined(ear), process(medium) as (tell, _):
        await ear.until(lambda: ear.missed > 0)
        for round_ in range(3):
            before = ear.missed
            medium.postgres.execute(f"SELECT pg_terminate_backend(pid){LISTENING}", medium.url)
            await ear.until(lambda before=before: ear.missed > before)  # type: ignore[misc]
            tell(HeadMoved(ANNA, 7, round_))
            await ear.hears(HeadMoved(ANNA, 7, round_))


async def test_while_it_is_away_nothing_is_lost_silently_and_then_it_goes_on(mortal: Postgres) -> None:
    medium = PostgresMedium(mortal)
    with structlog.testing.capture_logs() as logs:
        async with process(medium) as (tell, own), process(medium) as (_, other):
            before = (own.missed, other.missed)
            await asyncio.to_thread(mortal.stop, "immediate")
            tell(HeadMoved(ANNA, 7, 1))
            await asyncio.to_thread(mortal.start)
            await own.until(lambda: own.missed > before[0])
            await other.until(lambda: other.missed > before[1])
            await goes_on(tell, other)
    assert {event["event"] for event in logs} == {"notices_away"}
    await medium.close()


async def test_a_quiet_postgres_is_asked_and_kept(medium: PostgresMedium) -> None:
    address, ear = Address(medium.url), Ear()
    db = await open_postgres_directory(address, load_migrations("directory"))
    notices = PostgresNotices(Channel(address, CHANNEL, db, quiet_s=0.01))
    with structlog.testing.capture_logs() as logs:
        async with notices.joined(ear), process(medium) as (tell, _):
            await ear.until(lambda: ear.missed > 0)
            asked = f"SELECT 1{LISTENING} AND query = 'SELECT 1'"
            await until(lambda: medium.postgres.execute(asked, medium.url))
            tell(Ended(ANNA, PHONE))
            await ear.hears(Ended(ANNA, PHONE))
            assert (ear.missed, ear.heard) == (1, [Ended(ANNA, PHONE)])
    assert logs == []
    await db.close()


async def test_a_process_that_missed_says_so(medium: PostgresMedium) -> None:
    async with process(medium) as (tell, _), process(medium) as (_, ear):
        before = ear.missed
        tell(MISSED)
        await ear.until(lambda: ear.missed > before)
