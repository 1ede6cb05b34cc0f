"""Whoever asks one process for metrics is told those of all, each series by whose it is."""

from __future__ import annotations

import asyncio
import os
import signal
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from echolia.workers.channel import Hearing, Peer, PlainStream
from echolia.workers.peers import Peers
from echolia.workers.polling import Poll
from echolia.workers.store import Worker
from tests.support.asgi import Asker
from tests.support.process import ServerProcess
from tests.workers.conftest import Crew
from tests.workers.test_several import Person


def series(text: str) -> dict[str, dict[str, float]]:
    """The values of each metric without further labels, and the number of requests, by worker."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            worker = labels.pop("worker", "")
            if sample.name == "echolia_request_seconds_count" or not labels:
                of = found.setdefault(sample.name, {})
                of[worker] = of.get(worker, 0) + sample.value
    return found


async def scraped(ask: Asker) -> str:
    """What one process answers."""
    return (await ask("GET", "/metrics")).body.decode()


async def test_any_process_tells_the_numbers_of_all(crew: Crew) -> None:
    asks = [await crew.start() for _ in range(3)]
    await crew.looked()
    for number, ask in enumerate(asks):
        for _ in range(number + 1):
            await ask("GET", "/health")
    for ask in asks:
        text = await scraped(ask)
        found = series(text)
        assert found["echolia_databases_open"] == {"1": 0, "2": 0, "3": 0}
        for number in (1, 2, 3):
            labels = f'{{method="GET",route="/health",status="2xx",worker="{number}"}}'
            assert f"echolia_request_seconds_count{labels} {number}.0\n" in text
    lines = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(lines) == len(set(lines)), "each metric comes once"


async def test_a_request_that_is_handed_over_is_counted_where_it_arrived(crew: Crew) -> None:
    asks = [await crew.start() for _ in range(3)]
    await crew.looked()
    person = Person("anna")
    await person.register(asks[0])
    for ask in asks:
        await person.push(ask)
    text = await scraped(asks[0])
    counted = [line for line in text.splitlines() if "seconds_count" in line and '"/sync/push"' in line]
    assert [line.rpartition(" ")[2] for line in counted] == ["1.0"] * 3
    assert sum(series(text)["echolia_databases_open"].values()) == 1


async def test_who_has_ended_is_left_out(crew: Crew) -> None:
    asks = [await crew.start() for _ in range(3)]
    await crew.looked()
    await crew.end(1)
    assert series(await scraped(asks[0]))["echolia_live_streams"].keys() == {"1", "3"}


@asynccontextmanager
async def polling(answer: Callable[[], object], answer_s: float) -> AsyncIterator[Poll]:
    """A poll of one other process, which answers by `answer`."""

    async def verb() -> object:
        found = answer()
        return await found if isinstance(found, asyncio.Future) else found

    hearing = Hearing({"metrics": verb})

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hearing.hear(PlainStream(reader, writer))

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def connect(_worker: Worker) -> Peer:
        return Peer(PlainStream(*await asyncio.open_connection("127.0.0.1", port)))

    peers = Peers(connect)
    poll = Poll("metrics", lambda: [Worker(b"w" * 16, b"h" * 16)], peers, answer_s)
    try:
        yield poll
    finally:
        server.close()
        await peers.close()
        await poll.close()
        await hearing.close()


async def test_who_does_not_answer_is_asked_once_and_left_out() -> None:
    asked = 0

    def never() -> object:
        nonlocal asked
        asked += 1
        return asyncio.get_running_loop().create_future()

    async with polling(never, answer_s=0.01) as poll:
        async with asyncio.timeout(30):
            while not asked:
                assert await poll.answers() == []
            for _ in range(9):
                assert await poll.answers() == []
        assert asked == 1


async def test_what_failed_there_is_left_out_and_asked_again() -> None:
    answers: list[object] = [7]

    async with polling(lambda: answers.pop() if answers else 1 / 0, answer_s=30) as poll:
        assert [await poll.answers() for _ in range(2)] == [[7], []]
        answers.append(8)
        assert await poll.answers() == [8]


@pytest.mark.slow
async def test_real_workers_tell_each_other_s_and_go_on_without_the_dead(tmp_path: Path) -> None:
    def workers() -> set[str]:
        return answered(server.url)

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not await asyncio.to_thread(condition):
                pass

    with ServerProcess(tmp_path / "data", workers="3") as server:
        await until(lambda: workers() == {"1", "2", "3"})
        processes = psutil.Process(server.pid).children()
        processes[0].kill()
        await until(lambda: workers() != {"1", "2", "3"})
        await until(lambda: workers() == {"1", "2", "3"})
        stopped = psutil.Process(server.pid).children()[-1]
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            # Its connections are kept by the kernel: only those of the others are answered.
            await until(lambda: len(workers()) == 2)
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
        await until(lambda: workers() == {"1", "2", "3"})


def answered(url: str) -> set[str]:
    """The workers of which somebody tells; nobody does who has just been killed, or stands still."""
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
            return set(series(answer.read().decode())["echolia_databases_open"])
    except OSError:
        return set()
