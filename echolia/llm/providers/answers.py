"""A stream of events as one answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from echolia.llm.providers.port import Answer, Ended, Event, ProviderFailed, Text, ToolCall


async def gathered(events: AsyncGenerator[Event, None]) -> Answer:
    """The whole answer, neighbouring texts joined. Raises: `ProviderFailed`."""
    parts: list[Text | ToolCall] = []
    words: list[str] = []

    def joined() -> None:
        if words:
            parts.append(Text("".join(words)))
            words.clear()

    async with aclosing(events):
        async for event in events:
            match event:
                case Text(text=text):
                    words.append(text)
                case ToolCall():
                    joined()
                    parts.append(event)
                case Ended():
                    joined()
                    return Answer(parts, event)
    raise ProviderFailed("upstream_truncated")
