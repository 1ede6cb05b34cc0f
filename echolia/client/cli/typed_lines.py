"""Lines that a person or a script types while something else is awaited."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Final

_CHUNK_BYTES: Final = 4096


class TypedLines:
    """Standard input, line by line, without keeping the program from ending.

    A thread that reads through `sys.stdin` would hold its lock at exit, and one of the event loop's would be
    waited for: Ctrl-C would then do nothing until Enter. So it reads the descriptor itself, as a daemon.
    """

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        rest = b""
        while chunk := self._chunk():
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                self._hand_over(line.decode("utf-8", "replace").strip())
        if rest:
            self._hand_over(rest.decode("utf-8", "replace").strip())
        self._hand_over(None)

    def _chunk(self) -> bytes:
        try:
            return os.read(self._descriptor, _CHUNK_BYTES)
        except OSError:
            return b""

    def _hand_over(self, line: str | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._lines.put_nowait, line)
        except RuntimeError:
            return  # the loop has ended: nobody waits for lines any more

    async def next(self) -> str | None:
        """The next line without its end, None when there are no more."""
        line = await self._lines.get()
        if line is None:
            self._lines.put_nowait(None)
        return line
