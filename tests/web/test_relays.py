"""An answer that is relayed ends with its reader, and never goes on behind anybody's back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, MutableMapping
from typing import Any

import pytest

from echolia.web.relays import relayed


class Reader:
    """The other side of a connection."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.ended = False
        self.left = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Take a piece, once it reads."""
        await self.reads.wait()
        self.got.append(message["body"])
        self.ended = not message.get("more_body", False)

    async def receive(self) -> MutableMapping[str, Any]:
        """Say that it has gone, when it has."""
        await self.left.wait()
        return {"type": "http.disconnect"}


class Source:
    """What is relayed: some pieces, then whatever `then` waits for."""

    def __init__(self, *pieces: bytes, then: asyncio.Event | None = None) -> None:
        self.pieces, self.then = pieces, then
        self.closed = False

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        try:
            for piece in self.pieces:
                yield piece
            if self.then is not None:
                await self.then.wait()
        finally:
            self.closed = True


async def test_all_pieces_and_the_end() -> None:
    reader, source = Reader(), Source(b"a", b"b")
    await relayed(source(), reader.receive, reader.send)
    assert (reader.got, reader.ended, source.closed) == ([b"a", b"b", b""], True, True)


async def test_a_reader_who_leaves() -> None:
    reader, source = Reader(), Source(b"a", then=asyncio.Event())
    relaying = asyncio.create_task(relayed(source(), reader.receive, reader.send))
    while not reader.got:  # noqa: ASYNC110
        await asyncio.sleep(0)
    reader.left.set()
    await relaying
    assert source.closed
    assert not reader.ended


async def test_a_server_that_stops() -> None:
    reader, source = Reader(), Source(b"a", then=asyncio.Event())
    relaying = asyncio.create_task(relayed(source(), reader.receive, reader.send))
    while not reader.got:  # noqa: ASYNC110
        await asyncio.sleep(0)
    relaying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await relaying
    assert source.closed


async def test_a_reader_who_does_not_read_is_not_waited_for() -> None:
    reader, source = Reader(), Source(b"a", b"b")
    reader.reads.clear()
    await relayed(source(), reader.receive, reader.send, patience_s=0.01)
    assert source.closed
    assert reader.got == []


async def test_what_fails_within_is_told() -> None:
    async def failing() -> AsyncGenerator[bytes, None]:
        yield b"a"
        raise ZeroDivisionError

    reader = Reader()
    with pytest.raises(ZeroDivisionError):
        await relayed(failing(), reader.receive, reader.send)
    assert not reader.ended
