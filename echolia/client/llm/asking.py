"""Asking models: sealed here, opened here as the words come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias

from echolia.client.llm.answers import (
    Event,
    Finished,
    Model,
    Reply,
    ToolCall,
    UsageRow,
    Words,
    finished_of,
    models_of,
    parts_of,
    usage_of,
)
from echolia.client.llm.sealed_asks import SealedAsks
from echolia.client.session import Session
from echolia.sealed.documents import Pins

# A text is one message of the user; or messages as `spec/llm.md#ask` has them.
Said: TypeAlias = str | Sequence[Mapping[str, Any]]


class Llm:
    """The models that the server offers; get it as `device.llm`.

    async for event in device.llm.stream("How was my week?", model="claude"):
        if isinstance(event, Words):
            print(event.text, end="")
    """

    def __init__(self, sealed: SealedAsks, session: Session) -> None:
        self._sealed, self._keys = sealed, sealed.keys
        self._session = session

    async def models(self) -> list[Model]:
        """The models there are."""
        return models_of(await self._session.ask("GET", "/llm/models"))

    async def quota(self) -> Mapping[str, Any]:
        """What may be asked and what was used (`spec/llm.md#quota-and-usage`)."""
        return await self._session.ask("GET", "/llm/quota")

    async def usage(self, days: int = 30) -> list[UsageRow]:
        """What was used on the last `days` (1 to 400), by day and model."""
        return usage_of(await self._session.ask("GET", f"/llm/usage?days={days}"))

    async def pin(self, identity: bytes, following: bytes) -> None:
        """Seal only for the server that has this identity, or the one that may follow it (Ed25519 keys).

        An app that knows them calls this before it asks; without it the first that is seen is pinned.
        Raises: `sealed_keys_untrusted` where another was seen already.
        """
        await self._keys.pin(Pins(identity, following))

    async def pinned(self) -> tuple[bytes, bytes] | None:
        """The identity that is pinned and the one that may follow it; None before the first ask."""
        return await self._keys.pinned()

    async def generate(self, said: Said, *, model: str, **options: Any) -> Reply:
        """A whole answer. `options` are members of an ask (`spec/llm.md#ask`): `system`, `max_tokens`, ….

        Cancelled, it ends the request at the provider. Raises: `quota_exceeded`, `rate_limited`,
        `model_unknown`, `model_lacks`, `ask_invalid`, `body_too_large`, `upstream_…`, `sealed_truncated`,
        `sealed_keys_untrusted`, `server_unreachable`.
        """
        events = [event async for event in self._events("/llm/generate", _ask(said, model, options))]
        finished = events[-1]
        assert isinstance(finished, Finished)
        text = "".join(event.text for event in events if isinstance(event, Words))
        return Reply(text, [event for event in events if isinstance(event, ToolCall)], finished)

    async def stream(self, said: Said, *, model: str, **options: Any) -> AsyncGenerator[Event, None]:
        """An answer as it comes, `Finished` at last; otherwise as `generate`.

        Left before its end, it ends the request at the provider. What came before an error was said.
        """
        async with aclosing(self._events("/llm/stream", _ask(said, model, options))) as events:
            async for event in events:
                yield event

    async def _events(self, path: str, ask: Mapping[str, Any]) -> AsyncGenerator[Event, None]:
        async with aclosing(self._sealed.exchange(path, ask)) as chunks:
            async for chunk in chunks:
                # The final chunk has a status: how it ended comes behind its parts, a refusal before them.
                finished = finished_of(chunk) if "status" in chunk else None
                for part in parts_of(chunk):
                    yield part
                if finished is not None:
                    yield finished


def _ask(said: Said, model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    messages = [{"role": "user", "content": said}] if isinstance(said, str) else list(said)
    return {"model": model, "messages": messages, **options}
