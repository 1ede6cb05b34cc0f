"""One ask from its seal to its last sealed chunk: reserved, tried, gathered, settled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Final

import structlog

from echolia.core.errors import EcholiaError
from echolia.llm import store
from echolia.llm.catalogue import Catalogue, Model
from echolia.llm.models import WireAsk, read_ask
from echolia.llm.packing import as_json, packed
from echolia.llm.providers.counting import BYTES_A_TOKEN, TOKENS_AN_IMAGE, tokens_of_ask, tokens_of_parts
from echolia.llm.providers.port import Ask, Ended, Image, Part, ProviderFailed, Text, ToolCall, Usage
from echolia.llm.store import Lease
from echolia.llm.trying import Trying
from echolia.storage.engine import Database
from echolia.web.context import Dice, ModelEntitlements, ModelQuota, Refusal
from echolia.web.sealed_answers import refused, sealed_answer
from echolia.web.sealed_door import Unsealed

# Beyond the longest answer: who did not settle by then never will.
LEASE_SLACK_S: Final = 60.0
# Until a provider has counted, no text is more tokens than bytes, and no picture more than this.
MOST_TOKENS_AN_IMAGE: Final = 6000
TOKENS_A_MESSAGE: Final = 64
OK: Final = "ok"
LEFT: Final = "left"
_QUOTA_RETRY_S: Final = 3600
# Asks that are prepared before there is room for them, at most.
_PREPARED: Final = 4
Admitted = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Course:
    """How far an answer has come: whether it was asked for, what was said by which model, how it ended, what
    that cost.
    """

    model: Model
    ask: Ask
    asked: bool = False
    said: list[Part] = field(default_factory=list)
    ended: Ended | None = None
    cost: int = 0

    @property
    def usage(self) -> Usage:
        """What it took: what the provider said at the end, or else an estimate."""
        if self.ended is not None:
            return self.ended.usage
        return Usage(tokens_of_ask(self.ask), tokens_of_parts(self.said), estimated=True)


@dataclass(slots=True)
class LlmService:
    """Answers asks; `clock_ms` is the host's time, `longest_s` how long an answer may take."""

    directory: Database
    entitlements: ModelEntitlements
    trying: Trying
    clock_ms: Callable[[], int]
    dice: Dice
    longest_s: float
    running: int = 0
    _settling: set[asyncio.Task[store.Used | None]] = field(default_factory=set)
    _reserving: set[asyncio.Task[Lease]] = field(default_factory=set)

    @property
    def catalogue(self) -> Catalogue:
        """The models there are."""
        return self.trying.catalogue

    async def answer(self, account: bytes, asked: Unsealed, *, whole: bool) -> AsyncGenerator[bytes, None]:
        """The sealed answer, piece by piece; `whole`: all words in the final chunk.

        Closed before its end it ends the request at the provider, and what was used until then is charged.
        """
        self.running += 1
        said = self._said(account, asked.ask, whole)
        try:
            async with aclosing(sealed_answer(asked.answer, said, _refused)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self.running -= 1

    async def _said(self, account: bytes, value: object, whole: bool) -> AsyncGenerator[dict[str, Any], None]:
        """What goes into chunks, the final one last: it has a status. Raises what ended it."""
        wire = read_ask(value)
        models = self.trying.models(wire.model, wire.ask("", 1).needs)
        quota = await self.entitlements.models(account)
        course = _Course(models[0], wire.ask(models[0].known_as, models[0].max_tokens))
        reserving = asyncio.create_task(self._reserve(account, wire, models, quota))
        self._reserving.add(reserving)
        reserving.add_done_callback(self._reserving.discard)

        async def admitted() -> None:
            await asyncio.shield(reserving)
            course.asked = True

        status = LEFT
        failure: EcholiaError | None = None
        try:
            try:
                # While room is made for it, the provider's library prepares what will be sent once there is;
                # but not for many at once, which would keep everybody else waiting.
                if len(self._reserving) > _PREPARED:
                    await asyncio.wait([reserving])
                async with aclosing(self._told(wire, models, course, admitted, whole)) as told:
                    async for piece in told:
                        yield piece
                status = OK
            except TimeoutError:
                failure = ProviderFailed("upstream_timeout")
            except EcholiaError as error:
                failure = error
            if failure is not None:
                status = failure.code
        finally:
            settled = self._settle(reserving, course, status)
        used = await asyncio.shield(settled)
        if failure is not None:
            raise failure
        yield _final(course, whole, _told(quota, used or await self._used(account)))

    async def _told(
        self, wire: WireAsk, models: list[Model], course: _Course, admitted: Admitted, whole: bool
    ) -> AsyncGenerator[dict[str, Any], None]:
        def ask_of(model: Model) -> Ask:
            ask = replace(wire.ask(model.known_as, model.max_tokens), admitted=admitted)
            course.model, course.ask = model, ask
            return ask

        told = self.trying.stream(models, ask_of)
        async with aclosing(packed(told, self.longest_s)) as events:
            async for one in events:
                if one is None:
                    yield {}
                elif isinstance(one.event, Ended):
                    course.ended = one.event
                else:
                    course.said.append(one.event)
                    if not whole:
                        yield {"parts": [as_json(one.event)]}

    async def _reserve(self, account: bytes, wire: WireAsk, models: list[Model], quota: ModelQuota) -> Lease:
        """Room for the worst that any of these models can come to.

        Raises: `quota_exceeded`, which says of what; `StorageError`.
        """
        now_ms = self.clock_ms()
        worst = [_worst(wire.ask(model.known_as, model.max_tokens)) for model in models]
        priced = [model.price.cost(usage) for model, usage in zip(models, worst, strict=True)]
        least = tokens_of_ask(wire.ask(models[0].known_as, 1))
        lease = Lease(
            self.dice(16),
            account,
            models[0].name,
            models[0].price.table,
            now_ms + int((self.longest_s + LEASE_SLACK_S) * 1000),
            max(usage.input + usage.output for usage in worst),
            max(priced),
            least,
            models[0].price.cost(Usage(least, 0)),
        )
        if await store.reserve(self.directory, lease, quota, now_ms):
            return lease
        used = await self._used(account)
        if quota.concurrent and used.running >= quota.concurrent:
            raise Refusal("rate_limited", "too many asks at a time", retry_after_s=1)
        raise Refusal("quota_exceeded", members={"quota": _told(quota, used)}, retry_after_s=_QUOTA_RETRY_S)

    def _settle(
        self, reserving: asyncio.Task[Lease], course: _Course, status: str
    ) -> asyncio.Task[store.Used | None]:
        """Charge it, whoever is cancelled meanwhile."""
        used = course.usage
        if not course.asked or (status not in (OK, LEFT) and not course.said):
            used = Usage(0, 0)  # nobody answered
        model = course.model
        course.cost = model.price.cost(used) if used.input or used.output else 0
        charge = store.Charge(model.name, status, model.price.table, used, course.cost)
        task = asyncio.create_task(self._settled(reserving, charge))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        return task

    async def _settled(self, reserving: asyncio.Task[Lease], charge: store.Charge) -> store.Used | None:
        await asyncio.wait([reserving])
        if reserving.cancelled() or reserving.exception() is not None:
            return None  # nothing was taken, as who asked is told
        lease = reserving.result()
        try:
            return await store.settle(self.directory, lease.id, lease.account, charge, self.clock_ms())
        except EcholiaError as error:
            # The sweep charges the least of it when the lease ends.
            structlog.get_logger().warning("llm_unsettled", code=error.code)
            return None

    async def _used(self, account: bytes) -> store.Used:
        return await store.used(self.directory, account, self.clock_ms())

    async def quota(self, account: bytes) -> dict[str, Any]:
        """What there may be and what is used, as devices get it. Raises: `StorageError`."""
        return _told(await self.entitlements.models(account), await self._used(account))

    async def usage(self, account: bytes, days: int) -> Sequence[store.Row]:
        """What its asks of the last days took, today's too. Raises: `StorageError`."""
        today = store.day_of(self.clock_ms())
        return await store.report(self.directory, account, today - days + 1, today)

    def models(self) -> list[dict[str, Any]]:
        """The models there are, as devices get them (`spec/llm.md#models`)."""
        catalogue = self.catalogue
        return [
            {
                "name": model.name,
                "abilities": sorted(catalogue.abilities(model)),
                "max_tokens": model.max_tokens,
                "fallback": list(model.fallback),
            }
            for model in catalogue.models.values()
        ]

    async def sweep(self) -> None:
        """Charge what nobody settled, forget what is old. Raises: `StorageError`."""
        while await store.sweep(self.directory, self.clock_ms()):
            pass
        await store.forget(self.directory, store.day_of(self.clock_ms()) - store.KEPT_DAYS)

    async def close(self) -> None:
        """Wait for what is being charged, and end the connections to providers."""
        if self._settling:
            await asyncio.wait(self._settling)
        await self.catalogue.close()


def _worst(ask: Ask) -> Usage:
    """More than it can come to, before a provider has counted."""
    parts = [part for message in ask.messages for part in message.parts]
    images = sum(isinstance(part, Image) for part in parts)
    words = BYTES_A_TOKEN * (tokens_of_ask(ask) - TOKENS_AN_IMAGE * images)
    most = words + images * MOST_TOKENS_AN_IMAGE + TOKENS_A_MESSAGE * (2 + len(parts) + len(ask.tools))
    return Usage(most, ask.max_tokens)


def _final(course: _Course, whole: bool, quota: dict[str, Any]) -> dict[str, Any]:
    ended = course.ended
    assert ended is not None
    final: dict[str, Any] = {
        "status": 200,
        "model": course.model.name,
        "reason": ended.reason,
        "usage": ended.usage._asdict(),
        "cost_micro_usd": course.cost,
        "quota": quota,
    }
    if whole:
        final["parts"] = [as_json(part) for part in _joined(course.said)]
    return final


def _joined(said: list[Part]) -> list[Text | ToolCall]:
    joined: list[Text | ToolCall] = []
    for part in said:
        assert isinstance(part, Text | ToolCall)
        last = joined[-1] if joined else None
        if isinstance(part, Text) and isinstance(last, Text):
            joined[-1] = Text(last.text + part.text)
        else:
            joined.append(part)
    return joined


def _told(quota: ModelQuota, used: store.Used) -> dict[str, Any]:
    return {
        "tier": quota.tier,
        "tokens_per_day": {"used": used.tokens, "limit": quota.tokens_per_day or None},
        "micro_usd_per_month": {"used": used.micro_usd, "limit": quota.micro_usd_per_month or None},
        "concurrent": {"used": used.running, "limit": quota.concurrent or None},
    }


def _refused(error: EcholiaError) -> dict[str, Any]:
    """The final chunk of what did not come to its end."""
    final = refused(error)
    if isinstance(error, ProviderFailed):
        final["upstream"] = {"status": error.status, "request_id": error.request_id}
        if error.retry_after_s is not None:
            final["retry_after_s"] = error.retry_after_s
    return final
