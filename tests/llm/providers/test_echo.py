"""What echo says that it does."""

from __future__ import annotations

import json
from typing import Any, Final

import jsonschema  # type: ignore[import-untyped]  # it has no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echolia.llm.providers.choice import make
from echolia.llm.providers.counting import tokens, tokens_of_ask
from echolia.llm.providers.endpoint import Endpoint
from echolia.llm.providers.examples import example
from echolia.llm.providers.port import (
    Ask,
    Ended,
    Image,
    Message,
    ProviderFailed,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from tests.llm.providers.asks import course, words
from tests.support.whole_answers import generated

ECHO: Final = make("echo", Endpoint())
SAYS: Final = "This is echo, which runs no model and repeats what it is given. You wrote: "


def ask(*parts: Text | Image | ToolResult, **more: Any) -> Ask:
    """A request to it."""
    return Ask(**{"model": "echo", "messages": [Message("user", parts)], "max_tokens": 1000, **more})


async def said(request: Ask) -> tuple[str, Ended]:
    """Its words, and how it ended."""
    events, failed = await course(ECHO, request)
    assert failed is None
    ended = events[-1]
    assert isinstance(ended, Ended)
    return words(events), ended


async def test_it_says_what_it_is_and_repeats() -> None:
    text, ended = await said(ask(Text("Good  morning,\n\nyou!")))
    assert text == SAYS + "Good  morning,\n\nyou!"
    assert ended == Ended("stop", Usage(tokens("Good  morning,\n\nyou!"), tokens(text)))


async def test_it_streams_word_by_word() -> None:
    events, _ = await course(ECHO, ask(Text("a b c")))
    assert [event.text for event in events[-4:-1] if isinstance(event, Text)] == [" a", " b", " c"]


async def test_it_does_not_look_at_pictures() -> None:
    text, ended = await said(ask(Image("image/png", b"..."), Text("this")))
    assert "1 of it pictures" in text
    assert ended.usage.input == 1001


@pytest.mark.parametrize("most", [1, 5, 17, 200])
async def test_it_keeps_to_the_limit(most: int) -> None:
    text, ended = await said(ask(Text("word " * 50), max_tokens=most))
    assert tokens(text) == ended.usage.output <= most
    assert ended.reason == ("length" if most < 200 else "stop")


async def test_a_stop_sequence_ends_it() -> None:
    text, ended = await said(ask(Text("one two three"), stop=["three", " two"]))
    assert (text, ended.reason) == (SAYS + "one", "stop")


async def test_it_calls_the_tool_that_is_named_and_repeats_what_it_gave() -> None:
    tools = [Tool("time", "", {"type": "object"}), Tool("weather", "", {"type": "object"})]
    for words_, called in (("What is the weather?", "weather"), ("Nothing", None)):
        events, _ = await course(ECHO, ask(Text(words_), tools=tools))
        found = events[0].name if isinstance(events[0], ToolCall) else None
        assert found == called
    text, _ = await said(ask(ToolResult("call_0", "weather", "the weather is sunny"), tools=tools))
    assert text == SAYS + "the weather is sunny"


async def test_a_call_that_the_limit_cuts_is_left_out() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    request = ask(Text("x"), tools=[Tool("t", "", schema)], tool_choice="any", max_tokens=2)
    assert await said(request) == ("", Ended("length", Usage(tokens_of_ask(request), 0)))


async def test_it_has_one_model() -> None:
    with pytest.raises(ProviderFailed) as failed:
        await generated(ECHO, ask(Text("x"), model="gpt-4o"))
    assert failed.value.code == "upstream_refused"


async def test_without_a_message_it_repeats_nothing() -> None:
    text, ended = await said(ask(messages=[]))
    assert text.strip() == SAYS.strip()
    assert ended.usage.input == 1


leaves = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "minLength": 9},
        {"type": "string", "maxLength": 2},
        {"type": "integer", "minimum": 3},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "null"},
        {"const": "x"},
        {"enum": ["a", "b"]},
        {"type": ["null", "string"]},
        {"$ref": "#/$defs/named"},
        {},
    ]
)


def _larger(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    objects = st.dictionaries(st.sampled_from("abc"), inner, max_size=3).flatmap(
        lambda known: st.lists(st.sampled_from(sorted(known) or ["z"]), unique=True).map(
            lambda wanted: {"type": "object", "properties": known, "required": wanted}
        )
    )
    arrays = st.tuples(inner, st.integers(0, 3)).map(
        lambda it: {"type": "array", "items": it[0], "minItems": it[1]}
    )
    options = st.tuples(st.sampled_from(["anyOf", "oneOf"]), inner).map(lambda it: {it[0]: [it[1]]})
    return objects | arrays | options


@given(st.recursive(leaves, _larger, max_leaves=8))
def test_its_examples_follow_their_schemas(schema: dict[str, Any]) -> None:
    whole = {**schema, "$defs": {"named": {"type": "string"}}}
    value = example(whole)
    jsonschema.validate(value, whole)
    assert json.loads(json.dumps(value)) == value


def test_a_schema_that_refers_to_itself_ends() -> None:
    example({"$ref": "#"})
    example({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]})
