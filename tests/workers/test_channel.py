"""Many questions at a time over one stream: answered in any order, given up, or cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from echolia.core.errors import EcholiaError
from echolia.workers.channel import Gone, Hearing, Peer, PlainStream
from echolia.workers.peers import Peers
from echolia.workers.sockets import connect, listen
from echolia.workers.store import Worker


class Other:
    """What the other process does; `started` and `stopped` say how far the endless question is."""

    def __init__(self) -> None:
        self.started, self.stopped, self.go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def echo(self, *words: Any) -> list[Any]:
        """The words again."""
        return list(words)

    async def wait(self) -> str:
        """Answers once it may go on."""
        self.started.set()
        try:
            await self.go_on.wait()
        finally:
            self.stopped.set()
        return "waited"

    async def refuse(self) -> None:
        """An expected failure."""
        raise EcholiaError("device_unknown", "a detail")

    async def fail(self) -> None:
        """A failure that nobody expected."""
        raise ValueError("kanariya")


@pytest.fixture
async def other() -> Other:
    """The other process."""
    return Other()


@pytest.fixture
async def hearing(other: Other) -> Hearing:
    """It listens."""
    return Hearing({"echo": other.echo, "wait": other.wait, "refuse": other.refuse, "fail": other.fail})


@pytest.fixture
async def peer(tmp_path: Path, hearing: Hearing) -> AsyncIterator[Peer]:
    """A connection to it, by a path that is longer than sockets may have."""
    folder = tmp_path / ("long" * 30)
    server = await listen(folder, "other.sock", hearing)
    peer = await connect(folder, "other.sock")
    yield peer
    server.close()
    await peer.close()
    await hearing.close()


@pytest.mark.parametrize(
    "word", [0, -1, 2**63 - 1, -(2**63), None, True, "a\x00b", b"\xff\x00", 1.5, [1, [2]], "x" * 3_000_000]
)
async def test_words_arrive_as_they_are(peer: Peer, word: Any) -> None:
    assert await peer.ask("echo", word, "and more") == [word, "and more"]


async def test_answers_come_in_any_order(peer: Peer, other: Other) -> None:
    slow = asyncio.create_task(peer.ask("wait"))
    await other.started.wait()
    assert await asyncio.gather(*(peer.ask("echo", n) for n in range(200))) == [[n] for n in range(200)]
    assert not slow.done()
    other.go_on.set()
    assert await slow == "waited"


async def test_an_expected_failure_comes_as_it_is(peer: Peer) -> None:
    with pytest.raises(EcholiaError) as caught:
        await peer.ask("refuse")
    assert (caught.value.code, caught.value.detail) == ("device_unknown", "a detail")


@pytest.mark.parametrize("verb", ["fail", "no such verb"])
async def test_any_other_failure_tells_nothing(
    peer: Peer, verb: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EcholiaError) as caught:
        await peer.ask(verb)
    assert (caught.value.code, caught.value.detail) == ("internal", "")
    assert "kanariya" not in "".join(capfd.readouterr())
    assert await peer.ask("echo") == []


async def test_what_is_given_up_has_stopped(peer: Peer, other: Other) -> None:
    asking = asyncio.create_task(peer.ask("wait"))
    await other.started.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert other.stopped.is_set()
    assert await peer.ask("echo", 1) == [1]


async def test_what_is_given_up_at_any_moment_is_forgotten(peer: Peer) -> None:
    for ticks in range(30):
        asking = asyncio.create_task(peer.ask("echo", ticks))
        for _ in range(ticks):
            await asyncio.sleep(0)
        asking.cancel()
        outcome = (await asyncio.gather(asking, return_exceptions=True))[0]
        assert isinstance(outcome, asyncio.CancelledError) or outcome == [ticks]
    assert await peer.ask("echo", "still") == ["still"]


async def test_the_end_of_the_other_side_ends_all_questions(
    peer: Peer, other: Other, hearing: Hearing
) -> None:
    asking = asyncio.create_task(peer.ask("wait"))
    await other.started.wait()
    await hearing.close()
    with pytest.raises(Gone) as caught:
        await asking
    assert caught.value.sent
    with pytest.raises(Gone) as caught:
        await peer.ask("echo")
    assert not caught.value.sent
    await peer.ended()


@pytest.mark.parametrize("ticks", range(4))
def test_who_ended_a_moment_ago_is_gone_and_no_failure(tmp_path: Path, ticks: int) -> None:
    async def asked() -> None:
        server = await listen(tmp_path, "other.sock", Hearing({}))
        reader, writer = await asyncio.open_unix_connection(tmp_path / "other.sock")
        peer = Peer(PlainStream(reader, writer))
        await asyncio.sleep(0)
        writer.transport.abort()
        for _ in range(ticks):
            await asyncio.sleep(0)
        try:
            with pytest.raises(Gone):
                await peer.ask("echo")
        finally:
            await peer.close()
            server.close()

    uvloop.run(asked())  # the loop of servers, which refuses to write where asyncio's drops it


async def test_who_hangs_up_stops_what_was_asked(peer: Peer, other: Other) -> None:
    asking = asyncio.create_task(peer.ask("wait"))
    await other.started.wait()
    await peer.close()
    with pytest.raises(Gone):
        await asking
    await other.stopped.wait()


async def test_nobody_waits_for_a_process_that_others_take_for_dead(peer: Peer, other: Other) -> None:
    async def connect(_: Worker) -> Peer:
        return peer

    peers, silent = Peers(connect), Worker(b"s" * 16, b"h" * 16)
    asking = asyncio.create_task((await peers.to(silent)).ask("wait"))
    await other.started.wait()
    peers.keep([silent.id])
    assert not asking.done()
    peers.keep([])
    with pytest.raises(Gone) as caught:
        await asking
    assert caught.value.sent
