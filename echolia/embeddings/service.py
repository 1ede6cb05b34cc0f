"""One request from its seal to its sealed vectors: laid out, reserved, queued, pooled, settled."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

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
from echolia.web.context import EmbeddingEntitlements, Meter, Refusal
from echolia.web.sealed_answers import sealed_answer
from echolia.web.sealed_door import Unsealed

ALIVE_S: Final = 10.0
OK: Final = "ok"
LEFT: Final = "left"
_RETRY_S: Final = 2


@dataclass(slots=True)
class EmbeddingService:
    """Answers by one model, or by none where `workers` is None; `longest_s` is how long anybody waits."""

    workers: Workers | None
    backlog: Backlog
    entitlements: EmbeddingEntitlements
    meter: Meter
    longest_s: float
    _settling: set[asyncio.Task[dict[str, Any] | None]] = field(default_factory=set)

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
        lease = await self.meter.reserve(account, name, laid.tokens, quota)
        status = LEFT
        vectors: list[array[float]] = []
        try:
            try:
                async with aclosing(self._embedded(account, laid, ends_s)) as pieces:
                    async for piece in pieces:
                        if piece is None:
                            yield {}
                        else:
                            vectors = piece
                status = OK
            except EcholiaError as error:
                status = error.code
                raise
        finally:
            used = laid.tokens if status == OK else 0
            settled = self._settle(self.meter.settle(account, lease, name, used, status, quota))
        told = await settled or await self.meter.told(account, quota)
        yield await _final(workers, laid, vectors, where, told)

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

    async def _embedded(
        self, account: bytes, laid: Laid, ends_s: float
    ) -> AsyncGenerator[list[array[float]] | None, None]:
        """None for each sign of life, then the windows' vectors."""
        loop = asyncio.get_running_loop()
        job = Job(account, laid, loop.create_future())
        self.backlog.add(job)
        try:
            while True:
                alive_s = min(ends_s, loop.time() + ALIVE_S)
                await asyncio.wait([job.vectors], timeout=alive_s - loop.time())
                if job.vectors.done():
                    break
                if loop.time() >= ends_s:
                    raise Refusal("embeddings_late", retry_after_s=_RETRY_S)
                yield None
            yield job.vectors.result()
        finally:
            self.backlog.drop(job)
            job.vectors.cancel()

    def _settle(
        self, settling: Coroutine[Any, Any, dict[str, Any] | None]
    ) -> asyncio.Task[dict[str, Any] | None]:
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
    workers = None if engine is None else Workers(engine, backlog, settings.embeddings_threads)
    return EmbeddingService(workers, backlog, entitlements, meter, settings.embeddings_seconds)


def _ruled(engine: Engine, able: Capability, tokens: int) -> str:
    identity = engine.model.identity.digest
    return place(able, Need(identity, tokens), [identity])
