"""One question to all other processes of the server; who does not answer in time is left out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from echolia.core.errors import EcholiaError
from echolia.workers.channel import Gone
from echolia.workers.peers import Peers
from echolia.workers.store import Worker

ANSWER_S: Final = 2.0


class Poll:
    """Asks those whom `others` names just then by `verb`."""

    def __init__(
        self, verb: str, others: Callable[[], Sequence[Worker]], peers: Peers, answer_s: float = ANSWER_S
    ) -> None:
        self._verb = verb
        self._others = others
        self._peers = peers
        self._answer_s = answer_s
        self._asking: dict[bytes, asyncio.Task[Any]] = {}

    async def answers(self) -> list[Any]:
        """What they answered within `answer_s`."""
        tasks = [self._asked(worker) for worker in self._others()]
        if not tasks:
            return []
        # Not cancelled when it takes too long: who gives a question up waits for whoever was asked.
        done, _ = await asyncio.wait(tasks, timeout=self._answer_s)
        return [task.result() for task in done if task.result() is not None]

    def _asked(self, worker: Worker) -> asyncio.Task[Any]:
        """The question to that process, which is not asked again while the last one waits."""
        task = self._asking.get(worker.id)
        if task is None:
            task = self._asking[worker.id] = asyncio.create_task(self._ask(worker))
            task.add_done_callback(lambda _: self._asking.pop(worker.id))
        return task

    async def _ask(self, worker: Worker) -> Any:
        try:
            return await (await self._peers.to(worker)).ask(self._verb)
        except (Gone, EcholiaError):
            return None

    async def close(self) -> None:
        """Wait for what was asked: the others have been hung up on, so that each question has ended."""
        await asyncio.gather(*self._asking.values())
