"""What operators ask of a server that runs, over its socket: `echolia db` sends it, an `Operator` does it.

Long work is begun by one question and watched by others, each of which is answered by what has been told
since; it goes on though nobody asks any more. The last thing that is told has its `result`, or the code and
detail by which it `failed`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any, Final

from echolia.core.errors import EcholiaError
from echolia.storage.operating.service import Operating, Value
from echolia.workers.channel import Handler

# By their names: what is asked as it is, and what is begun and watched.
ASKED: Final = frozenset({"list", "show", "block", "migration", "pause_migration", "retry_migration"})
BEGUN: Final = frozenset({"move", "snapshot", "export", "restore", "check", "migrate"})
_ENDS: Final = frozenset({"result", "failed"})
_KEPT: Final = 64


class Desk:
    """Carries out what is asked of `operator`; `owner` names the process that has an account's database."""

    def __init__(self, operator: Operating, owner: Callable[[str], Awaitable[str]]) -> None:
        self._operator = operator
        self._owner = owner
        self._numbers = count()
        self._jobs: dict[int, asyncio.Queue[Value]] = {}
        self._running: set[asyncio.Task[None]] = set()

    def verbs(self) -> dict[str, Handler]:
        """The questions that it answers."""
        return {
            "operator owner": self._owner,
            "operator ask": self.ask,
            "operator begin": self.begin,
            "operator watch": self.watch,
        }

    async def ask(self, what: str, words: list[Any]) -> Value:
        """The answer of one of `ASKED`."""
        answer: Value = await self._method(what, ASKED)(*words)
        return answer

    async def begin(self, what: str, words: list[Any]) -> int:
        """Begin one of `BEGUN`; the number by which it is watched."""
        events = self._method(what, BEGUN)(*words)
        number, told = next(self._numbers), asyncio.Queue[Value]()
        self._jobs[number] = told
        if len(self._jobs) > _KEPT:
            self._jobs.pop(min(self._jobs))  # whoever began it has gone
        task = asyncio.create_task(_carry_out(events, told))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return number

    async def watch(self, number: int) -> list[Value]:
        """What it has told since, at least one thing."""
        told = self._jobs.get(number)
        if told is None:
            raise EcholiaError("unavailable", "nobody knows of that work any more")
        events = [await told.get()]
        while not told.empty():
            events.append(told.get_nowait())
        if _ENDS & events[-1].keys():
            self._jobs.pop(number, None)
        return events

    async def close(self) -> None:
        """Stop what runs; it goes on where it ended when it is asked for again."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _method(self, what: str, among: frozenset[str]) -> Callable[..., Any]:
        if what not in among:
            raise EcholiaError("usage", "no such question")
        found: Callable[..., Any] = getattr(self._operator, what)
        return found


async def _carry_out(events: AsyncIterator[Value], told: asyncio.Queue[Value]) -> None:
    try:
        async for event in events:
            told.put_nowait(event)
    except EcholiaError as error:
        told.put_nowait({"failed": [error.code, error.detail]})
    except Exception:
        told.put_nowait({"failed": ["internal", ""]})
        raise
