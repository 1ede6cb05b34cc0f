"""What each SDK sends for one request that has everything, and what it does not send."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final

import pytest

from echolia.llm.providers.choice import Kind
from echolia.llm.providers.port import Ask, Image, Message, Text, Tool, ToolCall, ToolResult
from tests.llm.providers.asks import KINDS, MODELS, course, provider
from tests.llm.providers.scripted import Scripted

PICTURE: Final = b"\x89PNG\r\n\x1a\n"
ENCODED: Final = b64encode(PICTURE).decode()
SCHEMA: Final = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
CITY: Final = {"type": "object", "properties": {"city": {"type": "string"}}}
TURNS: Final = [
    Message("user", [Text("Look"), Image("image/png", PICTURE)]),
    Message("assistant", [Text("I ask"), ToolCall("c1", "weather", '{"city": "Turin"}')]),
    Message("user", [Text("And now?"), ToolResult("c1", "weather", "sunny")]),
    Message("user", [Text("One"), Text("Two")]),
]


async def sent(server: Scripted, kind: Kind, **more: Any) -> Any:
    """The body that a request became; the answer does not matter."""
    values = {"messages": TURNS, "max_tokens": 99, **more}
    async with provider(kind, server.base_url(kind)) as asked:
        await course(asked, Ask(MODELS[kind], **values))
    [got] = server.got
    return got.body


FULL: Final[dict[str, Any]] = {
    "system": "Be brief",
    "stop": ["END"],
    "tools": [Tool("weather", "Tells it", CITY)],
    "schema": SCHEMA,
}


async def test_anthropic(scripted: Scripted) -> None:
    assert await sent(scripted, "anthropic", **FULL) == {
        "model": MODELS["anthropic"],
        "max_tokens": 99,
        "stream": True,
        "system": "Be brief",
        "stop_sequences": ["END"],
        "tools": [{"name": "weather", "description": "Tells it", "input_schema": CITY}],
        "tool_choice": {"type": "auto"},
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": ENCODED},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "I ask"},
                    {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Turin"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "sunny"},
                    {"type": "text", "text": "And now?"},
                ],
            },
            {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}]},
        ],
    }


async def test_openai(scripted: Scripted) -> None:
    assert await sent(scripted, "openai", **FULL, temperature=0.5) == {
        "model": MODELS["openai"],
        "max_tokens": 99,
        "stream": True,
        "stream_options": {"include_usage": True},
        "stop": ["END"],
        "temperature": 0.5,
        "tools": [
            {
                "type": "function",
                "function": {"name": "weather", "description": "Tells it", "parameters": CITY},
            }
        ],
        "tool_choice": "auto",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
        },
        "messages": [
            {"role": "system", "content": "Be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{ENCODED}"}},
                ],
            },
            {
                "role": "assistant",
                "content": "I ask",
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city": "Turin"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
            {"role": "user", "content": "And now?"},
            {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}]},
        ],
    }


async def test_google(scripted: Scripted) -> None:
    assert await sent(scripted, "google", **FULL, temperature=0.5) == {
        "systemInstruction": {"role": "user", "parts": [{"text": "Be brief"}]},
        "generationConfig": {
            "maxOutputTokens": 99,
            "stopSequences": ["END"],
            "temperature": 0.5,
            "responseMimeType": "application/json",
            "responseJsonSchema": SCHEMA,
        },
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "weather", "description": "Tells it", "parameters_json_schema": CITY}
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
        "contents": [
            {
                "role": "user",
                "parts": [{"text": "Look"}, {"inlineData": {"mime_type": "image/png", "data": ENCODED}}],
            },
            {
                "role": "model",
                "parts": [
                    {"text": "I ask"},
                    {"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Turin"}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"text": "And now?"},
                    {
                        "functionResponse": {
                            "id": "c1",
                            "name": "weather",
                            "response": {"result": "sunny"},
                        }
                    },
                ],
            },
            {"role": "user", "parts": [{"text": "One"}, {"text": "Two"}]},
        ],
    }


CHOICES: Final[dict[str, dict[str, Any]]] = {
    "anthropic": {
        "none": {"type": "none"},
        "any": {"type": "any"},
        "weather": {"type": "tool", "name": "weather"},
    },
    "openai": {
        "none": "none",
        "any": "required",
        "weather": {"type": "function", "function": {"name": "weather"}},
    },
    "google": {
        "none": {"functionCallingConfig": {"mode": "NONE"}},
        "any": {"functionCallingConfig": {"mode": "ANY"}},
        "weather": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
    },
}


@pytest.mark.parametrize("choice", ["none", "any", "weather"])
@pytest.mark.parametrize("kind", KINDS)
async def test_which_tool_may_be_called(scripted: Scripted, kind: Kind, choice: str) -> None:
    body = await sent(scripted, kind, tools=FULL["tools"], tool_choice=choice)
    found = body["toolConfig" if kind == "google" else "tool_choice"]
    assert found == CHOICES[kind][choice]


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_is_said_of_who_asks(scripted: Scripted, kind: Kind) -> None:
    await sent(scripted, kind)
    [got] = scripted.got
    allowed = {
        "host", "content-type", "content-length", "accept", "connection", "accept-encoding", "user-agent",
        "authorization", "x-api-key", "x-goog-api-key", "anthropic-version",
    }  # fmt: skip
    assert set(got.headers) <= allowed
    assert (got.headers["user-agent"], got.headers["accept-encoding"]) == ("echolia", "identity")
    assert sum("the-key" in value for value in got.headers.values()) == 1
    assert "the-key" not in got.line


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cookie_is_not_kept(scripted: Scripted, kind: Kind) -> None:
    for _ in range(2):
        scripted.answer(200, b"", {"content-type": "text/event-stream", "set-cookie": "who=you; path=/"})
    async with provider(kind, scripted.base_url(kind)) as asked:
        for _ in range(2):
            await course(asked, Ask(MODELS[kind], TURNS, 99))
    assert len(scripted.got) == 2
    assert not any("cookie" in got.headers for got in scripted.got)
