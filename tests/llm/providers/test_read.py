"""Answers as the providers document them, event by event: what is told, how it ended, what it took."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any, Final

import pytest

from echolia.llm.providers.choice import Kind
from echolia.llm.providers.port import (
    Ended,
    Event,
    Message,
    ProviderFailed,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from tests.llm.providers.asks import KINDS, ask, course, provider, words
from tests.llm.providers.scripted import Scripted, anthropic


async def read(
    server: Scripted, kind: Kind, *events: object, **more: Any
) -> tuple[list[Event], ProviderFailed | None]:
    """What these events are read as."""
    server.events(*events)
    async with provider(kind, server.base_url(kind)) as asked:
        return await course(asked, ask(kind, **more))


def begun(**usage: object) -> dict[str, Any]:
    """The first event of Anthropic's streams."""
    message = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "x", "usage": usage}
    return {"type": "message_start", "message": message}


def over(reason: str, **usage: object) -> list[dict[str, Any]]:
    """The last ones."""
    delta = {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}
    return [delta, {"type": "message_stop"}]


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    """A block of content."""
    told = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    opened = {"type": "content_block_start", "index": index, "content_block": start}
    return [opened, *told, {"type": "content_block_stop", "index": index}]


def chunk(delta: dict[str, Any] | None = None, reason: str | None = None, **more: object) -> dict[str, Any]:
    """A chunk of Chat Completions."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason}]
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "x",
        "choices": choices,
        **more,
    }


def part(*parts: dict[str, Any], reason: str | None = None, **more: object) -> dict[str, Any]:
    """A chunk of Gemini's streams."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}}
    if reason:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], **more}


async def test_anthropic_counts_what_came_from_its_cache_apart(scripted: Scripted) -> None:
    first = begun(
        input_tokens=10, output_tokens=1, cache_read_input_tokens=100, cache_creation_input_tokens=1000
    )
    details = {"thinking_tokens": 40}
    events, failed = await read(
        scripted,
        "anthropic",
        *anthropic(
            first,
            {"type": "ping"},
            *block(0, {"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "Hm"}),
            *block(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Good"}),
            *over("end_turn", output_tokens=50, output_tokens_details=details),
        ),
    )
    assert failed is None
    assert events == [Text("Good"), Ended("stop", Usage(1110, 50, 100, 1000, 40))]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tools"),
        ("refusal", "refused"),
        ("something_new", "stop"),
    ],
)
async def test_anthropic_says_why_it_ended(scripted: Scripted, said: str, reason: str) -> None:
    events, _ = await read(
        scripted, "anthropic", *anthropic(begun(input_tokens=1), *over(said, output_tokens=1))
    )
    assert events == [Ended(reason, Usage(1, 1))]  # type: ignore[arg-type]  # one of them


async def test_anthropic_calls_tools_in_pieces(scripted: Scripted) -> None:
    pieces = ['{"ci', 'ty": "Tu', 'rin"}']
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    events, failed = await read(
        scripted,
        "anthropic",
        *anthropic(
            begun(input_tokens=1),
            *block(0, {"type": "tool_use", "id": "t1", "name": "weather", "input": {}}, *deltas),
            *block(1, {"type": "tool_use", "id": "t2", "name": "time", "input": {}}),
            *over("tool_use", output_tokens=9),
        ),
    )
    assert failed is None
    first, second, ended = events
    assert (first, second) == (ToolCall("t1", "weather", '{"city": "Turin"}'), ToolCall("t2", "time", "{}"))
    assert ended == Ended("tools", Usage(1, 9))


async def test_openai_counts_the_cached_and_the_thought_within(scripted: Scripted) -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 40},
    }
    events, failed = await read(
        scripted,
        "openai",
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Good"}),
        chunk({}, "stop"),
        chunk(usage=usage),
        "[DONE]",
    )
    assert failed is None
    assert events == [Text("Good"), Ended("stop", Usage(100, 50, 60, 5, 40))]


async def test_parts_of_a_count_are_no_more_than_the_whole(scripted: Scripted) -> None:
    counted = {
        "prompt_tokens": 100, "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 9},
    }  # fmt: skip
    events, _ = await read(
        scripted, "openai", chunk({"content": "yes"}, "stop"), chunk(usage=counted), "[DONE]"
    )
    assert events[-1] == Ended("stop", Usage(100, 7, cached=100, written=0, reasoning=7))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tools"),
        ("content_filter", "refused"),
        ("something_new", "stop"),
    ],
)
async def test_openai_says_why_it_ended(scripted: Scripted, said: str, reason: str) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    events, _ = await read(scripted, "openai", chunk({}, said), chunk(usage=usage), "[DONE]")
    assert events == [Ended(reason, Usage(1, 1))]  # type: ignore[arg-type]  # one of them


async def test_openai_may_refuse_in_words(scripted: Scripted) -> None:
    events, _ = await read(scripted, "openai", chunk({"refusal": "I will not."}), chunk({}, "content_filter"))
    assert words(events) == "I will not."


async def test_an_endpoint_that_does_not_count_is_counted_for(scripted: Scripted) -> None:
    events, failed = await read(
        scripted,
        "openai",
        chunk({"content": "12345678"}),
        chunk({"content": "9"}),
        chunk({}, "stop"),
        "[DONE]",
    )
    assert failed is None
    # "Good morning" is 12 bytes; the pieces of the answer are rounded up each.
    assert events[-1] == Ended("stop", Usage(3, 3, estimated=True))


@pytest.mark.parametrize("indexed", [True, False])
async def test_a_compatible_endpoint_sends_calls_in_its_own_way(scripted: Scripted, *, indexed: bool) -> None:
    """Whole and without an index or an id, and `stop` for the reason, as some do; or in pieces."""

    def call(index: int, call_id: str | None, **function: str) -> dict[str, Any]:
        return {"index": index if indexed else None, "id": call_id, "type": "function", "function": function}

    pieces = [
        [call(0, "a", name="weather", arguments=""), call(1, "b", name="time", arguments="")],
        [
            call(0, None, arguments='{"city":'),
            call(1, None, arguments="{}"),
            call(0, None, arguments='"Turin"}'),
        ],
    ]
    whole = [
        [call(0, "a", name="weather", arguments='{"city":"Turin"}')],
        [call(1, "b", name="time", arguments="{}")],
    ]
    sent = [chunk({"tool_calls": calls}) for calls in (pieces if indexed else whole)]
    events, failed = await read(scripted, "openai", *sent, chunk({}, "stop"), "[DONE]")
    assert failed is None
    *calls, ended = events
    assert calls == [ToolCall("a", "weather", '{"city":"Turin"}'), ToolCall("b", "time", "{}")]
    assert isinstance(ended, Ended)
    assert ended.reason == "tools"


async def test_google_counts_again_with_each_chunk_and_thinking_apart(scripted: Scripted) -> None:
    def counted(candidates: int) -> dict[str, int]:
        return {
            "promptTokenCount": 100,
            "cachedContentTokenCount": 60,
            "candidatesTokenCount": candidates,
            "thoughtsTokenCount": 40,
        }

    events, failed = await read(
        scripted,
        "google",
        part({"text": "Hm", "thought": True}, usageMetadata=counted(0)),
        part({"text": "Good"}, usageMetadata=counted(1)),
        part({"text": " day"}, reason="STOP", usageMetadata=counted(3)),
    )
    assert failed is None
    assert events == [Text("Good"), Text(" day"), Ended("stop", Usage(100, 43, 60, 0, 40))]


@pytest.mark.parametrize(
    ("said", "reason"),
    [("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "refused"), ("RECITATION", "refused")],
)
async def test_google_says_why_it_ended(scripted: Scripted, said: str, reason: str) -> None:
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1}
    events, _ = await read(scripted, "google", part(reason=said, usageMetadata=usage))
    assert events == [Ended(reason, Usage(1, 1))]  # type: ignore[arg-type]  # one of them


async def test_google_may_refuse_the_question(scripted: Scripted) -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}
    events, failed = await read(scripted, "google", blocked)
    assert failed is None
    assert events == [Ended("refused", Usage(4, 0))]


async def test_google_gets_the_signature_of_a_call_back(scripted: Scripted) -> None:
    signature: Final = b"\x00signed\xff"
    called = {
        "functionCall": {"name": "weather", "args": {"city": "Turin"}},
        "thoughtSignature": b64encode(signature).decode(),
    }
    events, _ = await read(scripted, "google", part(called, reason="STOP"))
    call, ended = events
    assert isinstance(call, ToolCall)
    assert isinstance(ended, Ended)
    assert (call.name, json.loads(call.arguments), ended.reason) == ("weather", {"city": "Turin"}, "tools")
    turns = [Message("assistant", [call]), Message("user", [ToolResult(call.id, call.name, "sunny")])]
    await read(scripted, "google", part({"text": "Good"}, reason="STOP"), messages=turns)
    said, answered = scripted.got[-1].body["contents"]
    [sent] = said["parts"]
    assert b64decode(sent["thoughtSignature"].replace("-", "+").replace("_", "/")) == signature
    assert sent["functionCall"]["id"] == answered["parts"][0]["functionResponse"]["id"] == "call_0"


# An error inside a stream that had begun: what is told, and what it means.
INSIDE: list[tuple[Kind, object, str]] = [
    ("anthropic", ("error", {"type": "error", "error": {"type": kind, "message": "canary"}}), code)
    for kind, code in [
        ("overloaded_error", "upstream_overloaded"),
        ("rate_limit_error", "upstream_overloaded"),
        ("api_error", "upstream_failed"),
        ("invalid_request_error", "upstream_refused"),
        ("authentication_error", "upstream_credentials"),
        ("something_new", "upstream_failed"),
    ]
]
INSIDE += [
    ("anthropic", ("error", "no json"), "upstream_malformed"),
    ("openai", {"error": {"message": "canary", "type": "server_error", "code": None}}, "upstream_failed"),
    ("openai", {"error": {"message": "canary", "code": 429}}, "upstream_overloaded"),
    ("google", {"error": {"code": 503, "message": "canary", "status": "UNAVAILABLE"}}, "upstream_overloaded"),
    ("google", {"error": {"code": 400, "message": "canary"}}, "upstream_refused"),
    ("google", part(reason="MALFORMED_FUNCTION_CALL"), "upstream_malformed"),
]


@pytest.mark.parametrize(("kind", "error", "code"), INSIDE)
async def test_an_error_inside_a_stream_has_its_code(
    scripted: Scripted, kind: Kind, error: object, code: str
) -> None:
    first: dict[Kind, list[object]] = {
        "anthropic": [*anthropic(begun(input_tokens=1), *block(0, {"type": "text", "text": "Good"})[:1])],
        "openai": [chunk({"content": "Good"})],
        "google": [part({"text": "Good"})],
    }
    events, failed = await read(scripted, kind, *first[kind], error)
    assert events == [Text("Good")]
    assert failed is not None
    assert failed.code == code


WRONG: Final[dict[Kind, list[object]]] = {
    "anthropic": [
        *anthropic({"type": "message_start"}),
        *anthropic(begun(input_tokens=-5)),
        *anthropic(begun(input_tokens="many")),
        *anthropic(*block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": 7})[1:2]),
        *anthropic(*block(0, {"type": "tool_use", "id": 1, "name": None})[:1]),
    ],
    "openai": [
        chunk({"content": 7}),
        chunk({"content": "a"}, usage={"prompt_tokens": "many"}),
        chunk(
            {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "t", "arguments": "[]"}}]}, "stop"
        ),
        {"choices": 5},
        [],
    ],
    "google": [
        {"candidates": "none"},
        part({"text": {"deep": 1}}),
        part({"functionCall": {"args": {}}}),
        part({"text": "a"}, usageMetadata={"promptTokenCount": -1}),
        [],
    ],
}


@pytest.mark.parametrize(("kind", "number"), [(kind, n) for kind in KINDS for n in range(5)])
async def test_what_no_protocol_says_is_malformed(scripted: Scripted, kind: Kind, number: int) -> None:
    events, failed = await read(scripted, kind, WRONG[kind][number], "[DONE]" if kind == "openai" else {})
    assert not any(isinstance(event, Ended) for event in events)
    assert failed is not None
    assert failed.code in {"upstream_malformed", "upstream_truncated"}


@pytest.mark.parametrize("kind", KINDS)
async def test_calls_nested_beyond_measure_are_malformed(scripted: Scripted, kind: Kind) -> None:
    deep = '{"a":' + "[" * 200_000
    calls: dict[Kind, list[object]] = {
        "anthropic": [
            *anthropic(
                begun(input_tokens=1),
                *block(
                    0,
                    {"type": "tool_use", "id": "t", "name": "x", "input": {}},
                    {"type": "input_json_delta", "partial_json": deep},
                ),
                *over("tool_use", output_tokens=1),
            )
        ],
        "openai": [
            chunk(
                {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "t", "arguments": deep}}]},
                "stop",
            )
        ],
        "google": [deep],
    }
    events, failed = await read(scripted, kind, *calls[kind])
    assert events == []
    assert failed is not None
    assert failed.code == "upstream_malformed"
