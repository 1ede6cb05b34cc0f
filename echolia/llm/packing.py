"""A model's words gathered for a moment, so that their times and sizes tell less and cost less."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any, Final

from echolia.llm.catalogue import Model
from echolia.llm.providers.port import Text, ToolCall
from echolia.llm.trying import Told

GATHERED_S: Final = 0.05
GATHERED_BYTES: Final = 256
ALIVE_S: Final = 10.0
# A reader who is slow makes the provider wait.
_AHEAD: Final = 64


class _End:
    def __init__(self, failure: BaseException | None = None) -> None:
        self.failure = failure


async def packed(
    told: AsyncGenerator[Told, None], longest_s: float, alive_s: float = ALIVE_S
) -> AsyncGenerator[Told | None, None]:
    """What is told, neighbouring words joined; None is a sign of life.

    The first words go at once, others when 50 ms have passed since the last or 256 bytes have come together.
    Raises what `told` raises, after all that came before; TimeoutError where it goes on for too long. `told`
    is closed, however this ends.
    """
    queue: asyncio.Queue[Told | _End] = asyncio.Queue(_AHEAD)
    reading = asyncio.create_task(_read(told, queue))
    loop = asyncio.get_running_loop()
    ends, words = loop.time() + longest_s, _Words(loop.time() - GATHERED_S)
    try:
        while True:
            due = words.last + (GATHERED_S if words.texts else alive_s)
            one = await _next(queue, min(due, ends))
            if isinstance(one, Told) and words.take(one):
                if not words.full and (loop.time() - words.last < GATHERED_S or not queue.empty()):
                    continue
                one = None
            if joined := words.joined(loop.time()):
                yield joined
            elif one is None:
                words.last = loop.time()
                yield None
            if isinstance(one, _End):
                if one.failure is not None:
                    raise one.failure
                return
            if one is not None:
                yield one
            if loop.time() >= ends:
                raise TimeoutError
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


class _Words:
    """Texts of one model that wait to go together; `last` is when some went."""

    def __init__(self, last: float) -> None:
        self.texts: list[str] = []
        self.last = last
        self._size = 0
        self._model: Model | None = None

    @property
    def full(self) -> bool:
        """Whether enough has come together."""
        return self._size >= GATHERED_BYTES

    def take(self, one: Told) -> bool:
        """Whether these were words."""
        if not isinstance(one.event, Text):
            return False
        self.texts.append(one.event.text)
        self._size += len(one.event.text.encode())
        self._model = one.model
        return True

    def joined(self, now: float) -> Told | None:
        """All of them, which go now."""
        if not self.texts or self._model is None:
            return None
        joined = Told(self._model, Text("".join(self.texts)))
        self.texts, self._size, self.last = [], 0, now
        return joined


async def _next(queue: asyncio.Queue[Told | _End], until: float) -> Told | _End | None:
    """What comes next; None where nothing does until then."""
    if not queue.empty():
        return queue.get_nowait()
    with suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            return await queue.get()
    return None


async def _read(told: AsyncGenerator[Told, None], queue: asyncio.Queue[Told | _End]) -> None:
    first = True
    try:
        async with aclosing(told):
            async for one in told:
                await queue.put(one)
                if first:  # who waits for them has them before the next are read
                    first = False
                    await asyncio.sleep(0)
    except Exception as error:  # noqa: BLE001  # it is raised where the rest is read
        await queue.put(_End(error))
    else:
        await queue.put(_End())


def as_json(event: Text | ToolCall) -> dict[str, Any]:
    """A part of an answer as devices get it (`spec/llm.md#answer`)."""
    if isinstance(event, Text):
        return {"type": "text", "text": whole(event.text)}
    named = {"id": event.id, "name": event.name, "arguments": event.arguments}
    return {"type": "tool_call", **{name: whole(text) for name, text in named.items()}}


def whole(text: str) -> str:
    """The text with halves of surrogate pairs joined, or replaced where the other half is missing.

    Some endpoints cut a sign in two between their pieces.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
