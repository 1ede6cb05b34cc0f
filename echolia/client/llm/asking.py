"""Asking models: sealed here, opened here as the words come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeAlias

from echolia.client.environment import Environment
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
from echolia.client.llm.server_keys import ServerKeys
from echolia.client.replica import Replica
from echolia.client.session import Refused, Session
from echolia.client.transport import Request
from echolia.core.errors import EcholiaError
from echolia.sealed.asks import MEDIA_TYPE, bound
from echolia.sealed.documents import Pins
from echolia.sealed.frames import framed_request, unframed_final, unframed_response
from echolia.sealed.requests import seal

MOST_BYTES: Final = 256 * 1024
_EPHEMERAL_BYTES: Final = 32

# A text is one message of the user; or messages as `spec/llm.md#ask` has them.
Said: TypeAlias = str | Sequence[Mapping[str, Any]]


class Llm:
    """The models that the server offers; get it as `device.llm`.

    async for event in device.llm.stream("How was my week?", model="claude"):
        if isinstance(event, Words):
            print(event.text, end="")
    """

    def __init__(self, replica: Replica, session: Session, environment: Environment) -> None:
        self._account = replica.identity.account
        self._session = session
        self._environment = environment
        self._keys = ServerKeys(replica, session, environment)

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
        for again in (False, True):
            try:
                async with aclosing(self._once(path, ask, fresh=again)) as events:
                    async for event in events:
                        yield event
                    return
            except Refused as refused:
                # Nothing was answered yet: the server has forgotten the key.
                if refused.code != "sealed_key_unknown" or again:
                    raise

    async def _once(self, path: str, ask: Mapping[str, Any], *, fresh: bool) -> AsyncGenerator[Event, None]:
        key = await self._keys.key(fresh=fresh)
        plain = framed_request(bound(self._keys.now_ms(), path, self._account, ask))
        body, opener = seal(key.id, key.public, plain, self._environment.dice(_EPHEMERAL_BYTES))
        if len(body) > MOST_BYTES:
            raise EcholiaError("body_too_large", f"an ask is at most {MOST_BYTES} bytes, sealed")
        request = Request("POST", path, body, MEDIA_TYPE, MEDIA_TYPE)
        async with aclosing(self._session.stream(request)) as pieces:
            try:
                async for piece in pieces:
                    for chunk in opener.feed(piece):
                        for part in parts_of(unframed_response(chunk)):
                            yield part
            except EcholiaError as error:
                if error.code == "server_unreachable" and opener.begun:
                    raise EcholiaError("sealed_truncated") from None
                raise
        final = unframed_final(opener.end())
        finished = finished_of(final)
        for part in parts_of(final):
            yield part
        yield finished


def _ask(said: Said, model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    messages = [{"role": "user", "content": said}] if isinstance(said, str) else list(said)
    return {"model": model, "messages": messages, **options}
