"""Questions and answers between server processes, over one stream for many at a time.

A message is its length (4 bytes, big-endian) and as many bytes of CBOR: a question `[id, verb, words]`, its
answer `[id, true, result]` or `[id, false, [code, detail]]`. Ids are the asker's; answers come in any order.
Who gives a question up says `[id, null, []]`, and hears `[id, null, null]` once nothing runs any more. The
stream is a Unix socket in the data folder, which is this user's alone, or TLS to another machine (`secured`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import count
from struct import Struct
from typing import Any, Final, Protocol

import cbor2
import structlog

from echolia.core.errors import EcholiaError

# Larger than any body that the server takes or gives.
MOST_BYTES: Final = 64 * 1024 * 1024
_LENGTH: Final = Struct(">I")

Handler = Callable[..., Awaitable[Any]]


class Gone(Exception):
    """The other process ended, or its stream did; `sent` says whether it may have heard the question."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("sent" if sent else "not sent")
        self.sent = sent


class Stream(Protocol):
    """Messages in order, each whole or not at all."""

    async def receive(self) -> bytes | None:
        """The next message; None at the end."""
        ...

    def send(self, message: bytes) -> None:
        """Send a message."""
        ...

    async def drain(self) -> None:
        """Wait while the other side is slow."""
        ...

    def close(self) -> None:
        """End the stream."""
        ...


class PlainStream:
    """A `Stream` over a pair of asyncio's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def receive(self) -> bytes | None:
        """See `Stream.receive`."""
        try:
            (size,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            if size > MOST_BYTES:
                return None
            return await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError):
            return None

    def send(self, message: bytes) -> None:
        """See `Stream.send`."""
        # The other side may have ended a moment ago: uvloop refuses to write then; the reading side notices.
        with suppress(OSError, RuntimeError):
            self._writer.writelines((_LENGTH.pack(len(message)), message))

    async def drain(self) -> None:
        """See `Stream.drain`."""
        with suppress(OSError, RuntimeError):  # as above
            await self._writer.drain()

    def close(self) -> None:
        """See `Stream.close`."""
        self._writer.close()


class Peer:
    """Another process, asked over one stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._ids = count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reading = asyncio.create_task(self._read())

    async def ended(self) -> None:
        """Return once the other side is gone."""
        await asyncio.wait([self._reading])

    @property
    def gone(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._reading.done()

    async def ask(self, verb: str, *words: Any) -> Any:
        """The answer. Raises: `Gone`, and the `EcholiaError` that the other side answered."""
        if self.gone:
            raise Gone(sent=False)
        number, answer = next(self._ids), asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._stream.send(cbor2.dumps([number, verb, words]))
            await self._stream.drain()
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            await self._give_up(number, answer)
            raise
        finally:
            del self._waiting[number]

    async def _give_up(self, number: int, answer: asyncio.Future[Any]) -> None:
        """Return once what was asked runs no more."""
        if not answer.done():
            self._stream.send(cbor2.dumps([number, None, []]))
        while not answer.done():
            # A further cancellation changes nothing: what was asked has to end first.
            with suppress(asyncio.CancelledError):
                await asyncio.wait([answer])
        if not answer.cancelled():
            answer.exception()

    async def _read(self) -> None:
        try:
            while (message := await self._stream.receive()) is not None:
                number, well, result = cbor2.loads(message)
                answer = self._waiting.get(number)
                if answer is None or answer.done():
                    continue
                if well or well is None:
                    answer.set_result(result)
                else:
                    answer.set_exception(EcholiaError(*result))
        finally:
            self._stream.close()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(Gone(sent=True))

    def hang_up(self) -> None:
        """End all questions by `Gone`."""
        self._reading.cancel()

    async def close(self) -> None:
        """Hang up, and wait for the end."""
        self.hang_up()
        await asyncio.gather(self._reading, return_exceptions=True)


class Hearing:
    """Answers what is asked over streams, by its `verbs`."""

    def __init__(self, verbs: Mapping[str, Handler]) -> None:
        self._verbs = verbs
        self._heard: dict[asyncio.Task[None], Stream] = {}

    async def hear(self, stream: Stream) -> None:
        """Answer all questions of one stream until it ends; then those being answered are given up."""
        task = asyncio.current_task()
        assert task is not None
        self._heard[task] = stream
        answering: dict[int, asyncio.Task[None]] = {}
        try:
            while (message := await stream.receive()) is not None:
                number, verb, words = cbor2.loads(message)
                if verb is None:
                    if (given_up := answering.get(number)) is not None:
                        given_up.cancel()
                    continue
                answer = asyncio.create_task(self._answer(stream, number, verb, words))
                answering[number] = answer
                answer.add_done_callback(partial(_ended, stream, answering, number))
        finally:
            del self._heard[task]
            stream.close()
            for answer in tuple(answering.values()):
                answer.cancel()

    async def _answer(self, stream: Stream, number: int, verb: str, words: list[Any]) -> None:
        try:
            result = [number, True, await self._verbs[verb](*words)]
        except EcholiaError as error:
            result = [number, False, [error.code, error.detail]]
        except Exception as error:  # noqa: BLE001  # whatever it was, who asks gets an answer
            structlog.get_logger().error("failure", code="internal", exception=type(error).__name__)
            result = [number, False, ["internal", ""]]
        stream.send(cbor2.dumps(result))
        await stream.drain()

    async def close(self) -> None:
        """Hang up on all."""
        tasks = list(self._heard)
        for stream in list(self._heard.values()):
            stream.close()  # not cancelled: asyncio's streams would report that as a failure
        await asyncio.gather(*tasks, return_exceptions=True)


def _ended(
    stream: Stream, answering: dict[int, asyncio.Task[None]], number: int, answer: asyncio.Task[None]
) -> None:
    del answering[number]
    if answer.cancelled():
        stream.send(cbor2.dumps([number, None, None]))
