"""A TCP proxy on a free loopback port that holds back what goes through it for as long as it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class SlowProxy:
    """Before `target`, another loopback port; `delay_s` is what each piece waits, in either direction."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.delay_s = 0.0
        self.port = 0
        self.url = ""
        self._flowing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[SlowProxy]:
        """Carry connections while the block lasts."""
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        try:
            yield self
        finally:
            server.close()
            for task in tuple(self._flowing):
                task.cancel()
            await asyncio.gather(*self._flowing, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._flow(source, sink))
            self._flowing.add(task)
            task.add_done_callback(self._flowing.discard)

    async def _flow(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while piece := await source.read(1 << 16):
                    await asyncio.sleep(self.delay_s)
                    sink.write(piece)
                    await sink.drain()
        finally:
            sink.close()
