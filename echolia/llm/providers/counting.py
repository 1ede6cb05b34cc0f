"""Tokens as they are counted here: four bytes of UTF-8 are one, rounded up, and a picture is a thousand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from echolia.llm.providers.port import Ask, Image, Part, Text, ToolCall, ToolResult

BYTES_A_TOKEN: Final = 4
TOKENS_AN_IMAGE: Final = 1000


def tokens(text: str) -> int:
    """How many tokens a text is, rounded up."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_A_TOKEN)


def tokens_of_ask(ask: Ask) -> int:
    """How many tokens a request is: what was said, the tools and the schema; one at least."""
    parts = [part for message in ask.messages for part in message.parts]
    offered = [json.dumps([tool.name, tool.description, dict(tool.schema)]) for tool in ask.tools]
    schema = "" if ask.schema is None else json.dumps(dict(ask.schema))
    return max(1, tokens(ask.system) + sum(map(tokens, [*offered, schema])) + tokens_of_parts(parts))


def tokens_of_parts(parts: Iterable[Part]) -> int:
    """How many tokens these are together."""
    return sum(_tokens_of_part(part) for part in parts)


def _tokens_of_part(part: Part) -> int:
    match part:
        case Text(text=text):
            return tokens(text)
        case Image():
            return TOKENS_AN_IMAGE
        case ToolCall(name=name, arguments=arguments):
            return tokens(name) + tokens(arguments)
        case ToolResult(text=text):
            return tokens(text)
