"""OpenAI's own SDK against the door on the loopback: it notices nothing."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI

from echolia.client.llm.loopback import Loopback
from tests.support.devices import World

KEY = "only for me"
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]},
    },
}
PICTURE = "data:image/png;base64," + base64.b64encode(b"\x89PNG....").decode()
SHOWN = {"type": "image_url", "image_url": {"url": PICTURE}}


@pytest.fixture
async def port(world: World) -> AsyncIterator[int]:
    """A door to a device's models."""
    laptop = await world.first()
    async with Loopback(laptop.llm, KEY, os.urandom).listening(0) as opened:
        yield opened


@pytest.fixture
async def client(port: int) -> AsyncIterator[Any]:
    """The SDK, told nothing but the address and the key."""
    async with AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY, max_retries=0) as client:
        yield client


async def test_a_whole_answer(client: Any) -> None:
    answer = await client.chat.completions.create(
        model="echo",
        messages=[{"role": "system", "content": "Be short."}, {"role": "user", "content": "Good morning"}],
        max_tokens=100,
        temperature=0.5,
    )
    assert (answer.choices[0].message.content or "").endswith("Good morning")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


async def test_words_as_they_come(client: Any) -> None:
    stream = await client.chat.completions.create(
        model="echo",
        messages=[{"role": "user", "content": "One two three"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.endswith("One two three")
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None


async def test_tools_and_their_results(client: Any) -> None:
    asked = [{"role": "user", "content": "And the weather?"}]
    first = await client.chat.completions.create(model="echo", messages=asked, tools=[TOOL])
    (call,) = first.choices[0].message.tool_calls
    assert (call.function.name, first.choices[0].finish_reason) == ("weather", "tool_calls")
    assert "day" in json.loads(call.function.arguments)
    results = [
        first.choices[0].message.model_dump(),
        {"role": "tool", "tool_call_id": call.id, "content": "Rain."},
    ]
    second = await client.chat.completions.create(model="echo", messages=[*asked, *results], tools=[TOOL])
    assert "Rain." in second.choices[0].message.content


async def test_a_form_is_followed(client: Any) -> None:
    schema = {"type": "object", "properties": {"mood": {"type": "string"}}, "required": ["mood"]}
    answer = await client.chat.completions.create(
        model="echo",
        messages=[{"role": "user", "content": [{"type": "text", "text": "Hm"}, SHOWN]}],
        response_format={"type": "json_schema", "json_schema": {"name": "mood", "schema": schema}},
    )
    assert set(json.loads(answer.choices[0].message.content or "")) == {"mood"}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"n": 2}, "n"), ({"logprobs": True}, "logprobs"), ({"temperature": 7}, "temperature"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"extra_body": {"mood": "sad"}}, "an unknown parameter"),
    ],
)  # fmt: skip
async def test_what_cannot_be_had_is_refused_by_name(
    client: Any, options: dict[str, object], name: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(
            model="echo",
            messages=[{"role": "user", "content": "Hm"}],
            **options,
        )
    assert refused.value.code == "ask_invalid"
    assert name in str(refused.value)


async def test_models_are_listed_and_others_unknown(client: Any) -> None:
    assert [model.id async for model in client.models.list()] == ["echo"]
    for stream in (False, True):
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(
                model="nobody", messages=[{"role": "user", "content": "Hm"}], stream=stream
            )


async def test_who_does_not_know_the_key_gets_nothing(port: int) -> None:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}/v1", trust_env=False) as stranger:
        assert (await stranger.get("/models")).status_code == 401
        named = {"Authorization": f"Bearer {KEY}", "Host": "evil.example"}
        assert (await stranger.get("/models", headers=named)).status_code == 401
        good = {"Authorization": f"Bearer {KEY}"}
        assert (await stranger.get("/models", headers=good)).status_code == 200
        assert (await stranger.post("/chat/completions", headers=good, content=b"{")).status_code == 400
        big = await stranger.post("/chat/completions", headers=good, content=b"x" * (1 << 20) + b"y")
        assert big.status_code == 413
