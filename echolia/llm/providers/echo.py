"""Echo: no model and no network; it says so, repeats what was written, and does the same each time.

It shows all that a model can be asked for:

- It repeats the text of the last message, word by word. A stop sequence ends it, `max_tokens` cuts it.
- With a schema it answers with the smallest JSON that follows it (`examples.py`).
- With tools it calls one where `tool_choice` is `any` or a name, or where the last message has the tool's
  name in it, with the smallest arguments that follow its schema. Once it is given a result it repeats that.
- Tokens are counted as `counting.py` says; nothing is cached.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from echolia.llm.providers.counting import tokens, tokens_of_ask, tokens_of_parts
from echolia.llm.providers.endpoint import Endpoint
from echolia.llm.providers.examples import example
from echolia.llm.providers.port import (
    ABILITIES,
    Ability,
    Ask,
    Ended,
    Event,
    Image,
    ProviderFailed,
    Reason,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)

MODEL: Final = "echo"
_SAYS: Final = "This is echo, which runs no model and repeats what it is given. "
_WORDS: Final = re.compile(r"\s*\S+\s*$|\s*\S+|\s+")


class EchoProvider:
    """A provider for trying everything without a key."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.abilities: frozenset[Ability] = frozenset(ABILITIES) - endpoint.lacks

    async def stream(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """See `Provider.stream`."""
        if ask.model != MODEL or not ask.needs <= self.abilities:
            raise ProviderFailed("upstream_refused")
        await ask.admitted()
        called = _called(ask)
        if called is not None:
            call = ToolCall("call_0", called.name, json.dumps(example(called.schema)))
            whole = tokens_of_parts([call]) <= ask.max_tokens
            if whole:
                yield call
            yield _ended(ask, "tools" if whole else "length", tokens_of_parts([call]) if whole else 0)
            return
        said, full = "", _cut_at_stop(_answer(ask), ask.stop)
        for word in _WORDS.findall(full):
            if tokens(said + word) > ask.max_tokens:
                yield _ended(ask, "length", tokens(said))
                return
            said += word
            yield Text(word)
            await asyncio.sleep(0)
        yield _ended(ask, "stop", tokens(said))

    async def models(self) -> Sequence[str]:
        """See `Provider.models`."""
        return [MODEL]

    async def close(self) -> None:
        """Nothing is open."""


def _ended(ask: Ask, reason: Reason, output: int) -> Ended:
    return Ended(reason, Usage(tokens_of_ask(ask), output))


def _last_words(ask: Ask) -> str:
    parts = ask.messages[-1].parts if ask.messages else ()
    return " ".join(part.text for part in parts if isinstance(part, Text | ToolResult))


def _called(ask: Ask) -> Tool | None:
    parts = ask.messages[-1].parts if ask.messages else ()
    if ask.tool_choice == "none" or any(isinstance(part, ToolResult) for part in parts):
        return None
    words = _last_words(ask)
    for tool in ask.tools:
        if ask.tool_choice in ("any", tool.name) or (ask.tool_choice == "auto" and tool.name in words):
            return tool
    return None


def _answer(ask: Ask) -> str:
    if ask.schema is not None:
        return json.dumps(example(ask.schema))
    parts = ask.messages[-1].parts if ask.messages else ()
    pictures = sum(isinstance(part, Image) for part in parts)
    seen = f" ({pictures} of it pictures, which echo does not look at)" if pictures else ""
    return f"{_SAYS}You wrote{seen}: {_last_words(ask)}"


def _cut_at_stop(text: str, stop: Sequence[str]) -> str:
    found = [place for each in stop if each and (place := text.find(each)) >= 0]
    return text[: min(found)] if found else text
