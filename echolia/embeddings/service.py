"""One request from its seal to its sealed vectors: laid out, reserved, queued, pooled, settled."""

from __future__ import annotations

import asyncio
import sys
from array import array
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from echolia.core.embedding_place import Capability, Need, place
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64
from echolia.core.model_identity import packed
from echolia.embeddings.backlog import Backlog, Job
from echolia.embeddings.models import EmbeddingAsk, read_ask
from echolia.embeddings.workers import Workers
from echolia.engines.choice import opened
from echolia.engines.port import Engine
from echolia.engines.whole_texts import Laid
from echolia.settings import Settings
from echolia.web.context import EmbeddingEntitlements, Meter, ModelQuota, Refusal
from echolia.web.sealed_answers import sealed_answer
from echolia.web.sealed_door import Unsealed

ALIVE_S: Final = 10.0
OK: Final = "ok"
LEFT: Final = "left"
SWITCH_S: Final = 0.0005
_RETRY_S: Final = 2
_MOST_SPENT: Final = 10_000
T = TypeVar("T")


@dataclass(slots=True)
class EmbeddingService:
    """Answers by one model, or by none where `workers` is None; `longest_s` is how long anybody waits."""

    workers: Workers | None
    backlog: Backlog
    entitlements: EmbeddingEntitlements
    meter: Meter
    longest_s: float
    _settling: set[asyncio.Task[Any]] = field(default_factory=set)
    _spent: set[bytes] = field(default_factory=set)  # accounts that had no room when they asked last

    def answer(self, account: bytes, asked: Unsealed, *, one: bool) -> AsyncGenerator[bytes, None]:
        """The sealed answer to an ask of one text, or of several; closed before its end it is let go of."""
        return sealed_answer(asked.answer, self._said(account, asked.ask, one))

    async def models(self, account: bytes) -> dict[str, Any]:
        """What there is and what may be asked, as devices get it. Raises: `StorageError`."""
        quota = await self.entitlements.embeddings(account)
        there = [] if self.workers is None else [self.workers.engine.model.as_json()]
        return {"models": there, "quota": await self.meter.told(account, quota)}

    async def _said(self, account: bytes, value: object, one: bool) -> AsyncGenerator[dict[str, Any], None]:
        """Signs of life, and the final chunk, which has a status. Raises what ended it."""
        loop = asyncio.get_running_loop()
        ask = read_ask(value, one=one)
        ends_s = loop.time() + min(self.longest_s, ask.within_s)
        workers = self._workers_for(ask.identity)
        laid = await workers.lay(ask.texts)
        where = self._place(workers.engine, ask, laid.tokens)
        quota = await self.entitlements.embeddings(account)
        name = workers.engine.model.name
        with self._waiting(account, laid) as job:
            # It waits while it is reserved: nobody gets vectors before, and a call in vain is made but once.
            early = account not in self._spent
            if early:
                self.backlog.add(job)
            lease = await self._reserved(account, name, laid.tokens, quota)
            status = LEFT
            try:
                try:
                    if not early:
                        self.backlog.add(job)
                    while not await _done(job.vectors, ends_s):
                        yield {}
                    status = OK
                except EcholiaError as error:
                    status = error.code
                    raise
            finally:
                used = laid.tokens if status == OK else 0
                settled = self._settling_of(self.meter.settle(account, lease, name, used, status, quota))
        told = await settled or await self.meter.told(account, quota)
        yield await _final(workers, laid, job.vectors.result(), where, told)

    def _workers_for(self, identity: bytes) -> Workers:
        if self.workers is None or identity != self.workers.engine.model.identity.digest:
            raise EcholiaError("model_unknown")
        return self.workers

    def _place(self, engine: Engine, ask: EmbeddingAsk, tokens: int) -> str:
        """Where the rule has it made. Raises: `embeddings_busy` where that is the device, and all wait."""
        if ask.capability is None:
            return "server"
        found = _ruled(engine, ask.capability, tokens)
        if found == "device" and self.backlog.half_full:
            raise Refusal("embeddings_busy", "the device can do it", retry_after_s=_RETRY_S)
        return found

    @contextmanager
    def _waiting(self, account: bytes, laid: Laid) -> Iterator[Job]:
        """What may be added to the backlog, and is let go of at the end."""
        job = Job(account, laid, asyncio.get_running_loop().create_future())
        try:
            yield job
        finally:
            self.backlog.drop(job)
            if not job.vectors.cancel():
                job.vectors.exception()  # of what failed meanwhile nobody needs to be told

    async def _reserved(self, account: bytes, model: str, tokens: int, quota: ModelQuota) -> bytes:
        """The lease; whoever is cancelled meanwhile keeps nothing reserved. Raises: as `Meter.reserve`."""

        async def settled() -> None:
            with suppress(EcholiaError):  # then there was no room
                await self.meter.settle(account, await reserving, model, 0, LEFT, quota)

        reserving = asyncio.create_task(self.meter.reserve(account, model, tokens, quota))
        try:
            lease = await asyncio.shield(reserving)
        except asyncio.CancelledError:
            _ = self._settling_of(settled())
            raise
        except Refusal:
            if len(self._spent) >= _MOST_SPENT:
                self._spent.clear()
            self._spent.add(account)
            raise
        self._spent.discard(account)
        return lease

    def _settling_of(self, settling: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Charge it, whoever is cancelled meanwhile."""
        task = asyncio.create_task(settling)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        return task

    async def close(self) -> None:
        """End what runs, and wait for what is being charged."""
        if self.workers is not None:
            await self.workers.close()
        if self._settling:
            await asyncio.wait(self._settling)


async def _done(vectors: asyncio.Future[list[array[float]]], ends_s: float) -> bool:
    """Whether they are there, or else it is time for a sign of life. Raises: `embeddings_late`, their own."""
    loop = asyncio.get_running_loop()
    alive_s = min(ends_s, loop.time() + ALIVE_S)
    await asyncio.wait([vectors], timeout=alive_s - loop.time())
    if vectors.done():
        vectors.result()
        return True
    if loop.time() >= ends_s:
        raise Refusal("embeddings_late", retry_after_s=_RETRY_S)
    return False


async def _final(
    workers: Workers, laid: Laid, vectors: list[array[float]], where: str, quota: dict[str, Any]
) -> dict[str, Any]:
    texts = await workers.pool(laid, vectors)
    return {
        "status": 200,
        "identity": b64(workers.engine.model.identity.digest),
        "vectors": [b64(packed(vector)) for vector in texts],
        "tokens": laid.tokens,
        "where": where,
        "quota": quota,
    }


def open_embeddings(
    settings: Settings, entitlements: EmbeddingEntitlements, meter: Meter
) -> EmbeddingService:
    """The feature, its engine loaded. Raises: `settings_invalid`, `model_damaged`."""
    engine, backlog = opened(settings.embeddings), Backlog(settings.embeddings_queue)
    workers = None
    if engine is not None:
        # A thread whose call has ended needs the interpreter but for a moment: not after Python's 5 ms.
        sys.setswitchinterval(SWITCH_S)
        workers = Workers(engine, backlog, settings.embeddings_threads)
    return EmbeddingService(workers, backlog, entitlements, meter, settings.embeddings_seconds)


def _ruled(engine: Engine, able: Capability, tokens: int) -> str:
    identity = engine.model.identity.digest
    return place(able, Need(identity, tokens), [identity])
