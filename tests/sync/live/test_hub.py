"""Live over a real log: heads as they are on disk, ends as they are decided, the news of other processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from echolia.core.errors import EcholiaError
from echolia.sync.live.hub import Live, LiveFeed
from echolia.sync.live.listeners import Head
from echolia.sync.service import SyncService
from echolia.web.context import Caller
from echolia.web.notices.memory import MemoryNotices
from echolia.web.notices.port import MISSED, Ended, HeadMoved, Notice, Tell
from tests.sync.conftest import ACCOUNT, EPOCH, Log

NOBODY = b"n" * 16


@dataclass
class Standings:
    """Who is refused: at once, or once somebody has looked again."""

    refused: dict[bytes, str] = field(default_factory=dict)
    elsewhere: dict[bytes, str] = field(default_factory=dict)
    looked: list[bytes | None] = field(default_factory=list)
    failing: int = 0

    def admits(self, caller: Caller) -> None:
        """See `Standings` of the hub."""
        if caller.device in self.refused:
            raise EcholiaError(self.refused[caller.device])

    async def look_again(self, account: bytes | None) -> None:
        """See `Standings` of the hub."""
        if self.failing:
            self.failing -= 1
            raise EcholiaError("storage_busy")
        self.looked.append(account)
        self.refused |= self.elsewhere


@dataclass
class Process:
    """One server process over the log, and what another one hears and tells."""

    log: Log
    standings: Standings
    live: Live
    heard: list[Notice]
    tell: Tell

    async def open(self, known: Head | None = None) -> tuple[LiveFeed, asyncio.Event]:
        """A stream of the phone, and what is set by its news."""
        feed, news = await self.live.open(self.log.caller(self.log.phone), known), asyncio.Event()
        feed.begin(news.set, 3600)
        return feed, news

    async def push(self, service: SyncService | None = None) -> None:
        """The laptop writes one change, here unless another process's service is named."""
        service = service or SyncService(
            self.log.databases, self.log.devices, self.live._clock_ms, self.live.moved
        )
        self.log.laptop.write()
        count = len(self.log.laptop.changes)
        await service.push(self.log.caller(self.log.laptop), [self.log.laptop.run(count)])


@pytest.fixture
async def process(log: Log) -> AsyncIterator[Process]:
    """A process that tells and hears another one."""
    standings, notices = Standings(), MemoryNotices()
    heard: list[Notice] = []
    live = Live(log.databases.lease, standings, lambda: log.now_ms[0])
    async with live.joined(notices), notices.joined(heard.append) as tell:
        yield Process(log, standings, live, heard, tell)


def told(feed: LiveFeed) -> str | None:
    """The id of the event that is news."""
    event = feed.take()
    return event and event.id


async def soon(news: asyncio.Event) -> None:
    """Wait for news."""
    await asyncio.wait_for(news.wait(), 20)
    news.clear()


async def test_the_head_is_told_at_once_and_when_it_moves(process: Process) -> None:
    feed, news = await process.open()
    assert told(feed) == f"{EPOCH}.0"
    assert told(feed) is None
    await process.push()
    assert news.is_set()
    event = feed.take()
    assert event is not None
    assert (event.name, event.id, event.data) == ("head", f"{EPOCH}.1", f'{{"epoch": {EPOCH}, "seq": 1}}')
    assert process.heard == [HeadMoved(ACCOUNT, EPOCH, 1)]


async def test_a_head_that_is_known_is_not_told_again(process: Process) -> None:
    await process.push()
    feed, _ = await process.open(Head(EPOCH, 1))
    assert told(feed) is None
    await process.push()
    assert told(feed) == f"{EPOCH}.2"
    behind, _ = await process.open(Head(EPOCH, 1))
    assert told(behind) == f"{EPOCH}.2"


async def test_nothing_is_leased_while_a_stream_is_open(process: Process) -> None:
    feed, _ = await process.open()
    assert process.log.databases.stats().leased == 0
    assert told(feed) == f"{EPOCH}.0"


async def test_silence_calls_after_its_time(process: Process) -> None:
    feed, news = await process.open()
    feed.begin(news.set, 0.001)
    assert told(feed) == f"{EPOCH}.0"
    await soon(news)
    assert told(feed) is None
    await soon(news)


async def test_an_expired_token_is_the_end_and_frees_the_place(process: Process) -> None:
    feed, _ = await process.open()
    process.log.now_ms[0] = process.log.caller(process.log.phone).expires * 1000
    for _ in range(2):
        with pytest.raises(EcholiaError, match="token_expired"):
            feed.take()
    assert process.live.listeners.count == 0


async def test_the_end_comes_when_the_token_s_time_is_up_though_silence_would_last(log: Log) -> None:
    live = Live(log.databases.lease, Standings(), lambda: log.now_ms[0])
    caller = Caller(ACCOUNT, log.phone.device, expires=log.now_ms[0] // 1000 + 1)
    log.now_ms[0] = caller.expires * 1000 - 1
    feed, news = await live.open(caller, None), asyncio.Event()
    feed.begin(news.set, 3600)
    assert told(feed) == f"{EPOCH}.0"
    await soon(news)


async def test_a_device_that_ends_here_is_told_why_and_others_are_told(process: Process) -> None:
    feed, news = await process.open()
    process.standings.refused[process.log.phone.device] = "device_revoked"
    process.live.ended(ACCOUNT, process.log.phone.device)
    assert news.is_set()
    with pytest.raises(EcholiaError, match="device_revoked"):
        feed.take()
    assert process.heard == [Ended(ACCOUNT, process.log.phone.device)]


async def test_a_server_that_stops_ends_all(process: Process) -> None:
    feed, news = await process.open()
    process.live.close()
    assert news.is_set()
    with pytest.raises(EcholiaError, match="unavailable"):
        feed.take()


async def test_a_stream_that_cannot_begin_takes_no_place(process: Process) -> None:
    with pytest.raises(EcholiaError, match="storage_missing"):
        await process.live.open(Caller(NOBODY, NOBODY, 2**40), None)
    assert process.live.listeners.count == 0


async def test_a_head_that_moved_elsewhere_is_told(process: Process) -> None:
    feed, news = await process.open()
    assert told(feed) == f"{EPOCH}.0"
    process.tell(HeadMoved(ACCOUNT, EPOCH, 9))
    assert news.is_set()
    assert told(feed) == f"{EPOCH}.9"


@pytest.mark.parametrize(("elsewhere", "code"), [({}, "token_expired"), ({"phone": 1}, "device_revoked")])
async def test_a_device_that_ended_elsewhere_is_looked_up_first(
    process: Process, elsewhere: dict[str, int], code: str
) -> None:
    phone = process.log.phone.device
    process.standings.elsewhere = dict.fromkeys([phone] if elsewhere else [], "device_revoked")
    feed, news = await process.open()
    told(feed)
    process.tell(Ended(ACCOUNT, phone))
    await soon(news)
    with pytest.raises(EcholiaError, match=code):
        feed.take()
    assert process.standings.looked == [ACCOUNT]


async def test_what_was_missed_is_found_by_comparing(process: Process) -> None:
    feed, news = await process.open()
    assert told(feed) == f"{EPOCH}.0"
    await process.push(process.log.service)  # tells nobody
    assert told(feed) is None
    process.live.listeners.add(NOBODY, NOBODY)  # whose database is not there: no reason to stop
    process.tell(MISSED)
    await soon(news)  # to look whether it may go on
    while (event := told(feed)) is None:
        await soon(news)
    assert event == f"{EPOCH}.1"
    assert process.standings.looked == [None]


async def test_a_catch_up_that_failed_does_not_end_the_next(process: Process) -> None:
    process.standings.failing = 1
    feed, news = await process.open()
    told(feed)
    process.tell(Ended(ACCOUNT, None))
    for _ in range(20):
        await asyncio.sleep(0)
    process.tell(Ended(ACCOUNT, process.log.phone.device))
    await soon(news)
    with pytest.raises(EcholiaError, match="token_expired"):
        feed.take()
