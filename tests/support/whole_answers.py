"""A stream of events as one answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import NamedTuple

from echolia.llm.providers.port import Ask, Ended, Provider, ProviderFailed, Text, ToolCall


class Answer(NamedTuple):
    """A whole answer: its texts and tool calls in order, and how it ended."""

    parts: Sequence[Text | ToolCall]
    ended: Ended


async def generated(provider: Provider, ask: Ask) -> Answer:
    """What the provider answers, whole, neighbouring texts joined. Raises: `ProviderFailed`."""
    parts: list[Text | ToolCall] = []
    words: list[str] = []

    def joined() -> None:
        if words:
            parts.append(Text("".join(words)))
            words.clear()

    async with aclosing(provider.stream(ask)) as events:
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
