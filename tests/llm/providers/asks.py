"""Requests and adapters as these tests use them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final

from echolia.llm.providers.choice import Kind, make
from echolia.llm.providers.endpoint import Endpoint
from echolia.llm.providers.port import Ask, Event, Message, Provider, ProviderFailed, Text

KINDS: Final[tuple[Kind, ...]] = ("anthropic", "openai", "google")
MODELS: Final = {"anthropic": "claude-sonnet-4-6", "openai": "gpt-4o", "google": "gemini-2.5-pro"}


def ask(kind: str, said: str = "Good morning", **more: Any) -> Ask:
    """A request in one message."""
    values = {"messages": [Message("user", [Text(said)])], "max_tokens": 500, **more}
    return Ask(MODELS[kind], **values)


@asynccontextmanager
async def provider(kind: Kind, base_url: str, **more: Any) -> AsyncIterator[Provider]:
    """An adapter, closed in the end."""
    made = make(kind, Endpoint("the-key", base_url, **more))
    try:
        yield made
    finally:
        await made.close()


async def course(asked: Provider, request: Ask) -> tuple[list[Event], ProviderFailed | None]:
    """All that came, and how it failed if it did."""
    events: list[Event] = []
    try:
        async with aclosing(asked.stream(request)) as stream:
            async for event in stream:
                events.append(event)  # noqa: PERF401  # what came before a failure counts
    except ProviderFailed as failed:
        return events, failed
    return events, None


def words(events: list[Event]) -> str:
    """The texts of these events."""
    return "".join(event.text for event in events if isinstance(event, Text))
