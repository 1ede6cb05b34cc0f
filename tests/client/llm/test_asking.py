"""A device asks models: words as they come, keys pinned, one retry when a key is gone."""

from __future__ import annotations

from typing import Any

import pytest

from echolia.client import Device, EcholiaError
from echolia.client.llm.answers import Finished, Words
from echolia.client.transport import Answer, Request
from echolia.sealed.key_ring import PERIOD_MS
from tests.support.devices import Meddler, World, documents

SAID = "What did I write about rain?"


async def said_by(device: Device, **options: Any) -> tuple[str, Finished]:
    """What a stream comes to."""
    events = [event async for event in device.llm.stream(SAID, model="echo", **options)]
    finished = events.pop()
    assert isinstance(finished, Finished)
    return "".join(event.text for event in events if isinstance(event, Words)), finished


async def test_words_come_and_are_counted(world: World) -> None:
    laptop = await world.first()
    text, finished = await said_by(laptop)
    assert text.endswith(SAID)
    assert (finished.model, finished.reason, finished.cost_micro_usd) == ("echo", "stop", 0)
    (row,) = await laptop.llm.usage()
    assert (row.model, row.status, row.input, row.output) == (
        "echo", "ok", finished.usage.input, finished.usage.output,
    )  # fmt: skip
    assert (await laptop.llm.quota()) == finished.quota
    assert [model.name for model in await laptop.llm.models()] == ["echo"]


async def test_a_whole_answer_says_the_same(world: World) -> None:
    laptop = await world.first()
    reply = await laptop.llm.generate(SAID, model="echo")
    assert (reply.text, reply.finished.reason) == ((await said_by(laptop))[0], "stop")


async def test_tools_are_called(world: World) -> None:
    laptop = await world.first()
    tool = {"name": "weather", "schema": {"type": "object", "properties": {"day": {"type": "string"}}}}
    reply = await laptop.llm.generate(SAID, model="echo", tools=[tool], tool_choice="any")
    assert [call.name for call in reply.tool_calls] == ["weather"]
    assert reply.finished.reason == "tools"


async def test_what_is_refused_has_its_code(world: World) -> None:
    laptop = await world.first()
    for options, code in (
        ({"model": "nobody"}, "model_unknown"),
        ({"model": "echo", "temperature": 9}, "ask_invalid"),
        ({"model": "echo", "mood": "sad"}, "ask_invalid"),
        ({"model": "echo", "system": "x" * 300_000}, "body_too_large"),
    ):
        with pytest.raises(EcholiaError, match=code):
            await laptop.llm.generate(SAID, **options)
    assert await laptop.llm.usage() == []


async def test_a_key_that_the_server_forgot_is_fetched_once_more(world: World) -> None:
    laptop = await world.first()
    await said_by(laptop)
    transport = world.transport("laptop")
    transport.meddle = forgetful(1)
    transport.asked.clear()
    text, _ = await said_by(laptop)
    assert text.endswith(SAID)
    paths = [request.path for request in transport.asked]
    assert paths == ["/llm/stream", "/llm/keys", "/llm/stream"]
    first, second = (request.body for request in transport.asked if request.path == "/llm/stream")
    assert first[7:39] != second[7:39], "each time it is sealed in a context of its own"


async def test_it_is_fetched_once_and_no_more(world: World) -> None:
    laptop = await world.first()
    world.transport("laptop").meddle = forgetful(9)
    with pytest.raises(EcholiaError, match="sealed_key_unknown"):
        await said_by(laptop)
    assert [request.path for request in world.transport("laptop").asked].count("/llm/stream") == 2


def forgetful(times: int) -> Meddler:
    """The server does not know the key, so many times."""
    left = [times]

    def meddle(request: Request, answer: Answer) -> Answer:
        if request.path == "/llm/stream" and left[0]:
            left[0] -= 1
            return Answer(422, b'{"code": "sealed_key_unknown"}')
        return answer

    return meddle


async def test_keys_are_fetched_when_they_end(world: World) -> None:
    laptop = await world.first()
    await said_by(laptop)
    transport = world.transport("laptop")
    transport.asked.clear()
    await said_by(laptop)
    world.pass_s(PERIOD_MS / 1000)
    await said_by(laptop)
    asks = [request for request in transport.asked if request.path.startswith("/llm/")]
    assert [request.path for request in asks] == ["/llm/stream", "/llm/keys", "/llm/stream"]
    assert asks[0].body[0] != asks[2].body[0], "another key"


async def test_another_identity_is_not_believed(world: World) -> None:
    laptop = await world.first()
    await laptop.llm.pin(bytes(32), bytes(32))
    with pytest.raises(EcholiaError, match="sealed_keys_untrusted"):
        await said_by(laptop)
    assert await laptop.llm.usage() == []


async def test_the_first_identity_is_kept(world: World) -> None:
    laptop = await world.first()
    assert await laptop.llm.pinned() is None
    await said_by(laptop)
    identity, following = await laptop.llm.pinned() or (b"", b"")
    await laptop.llm.pin(identity, following)
    with pytest.raises(EcholiaError, match="sealed_keys_untrusted"):
        await laptop.llm.pin(following, identity)


def cut(size: int) -> Meddler:
    """Answers of models end after so many bytes."""

    def meddle(request: Request, answer: Answer) -> Answer:
        return Answer(200, answer.body[:size]) if request.path == "/llm/stream" else answer

    return meddle


@pytest.mark.parametrize("size", [0, 10, 32, 33, 60, 200])
async def test_an_answer_that_is_cut_short_is_no_answer(world: World, size: int) -> None:
    laptop = await world.first()
    world.transport("laptop").meddle = cut(size)
    with pytest.raises(EcholiaError, match="sealed_truncated"):
        await said_by(laptop)


async def test_keys_with_a_wrong_signature(world: World) -> None:
    laptop = await world.first()
    world.transport("laptop").meddle = documents("/llm/keys", lambda told: told.update(signature="A" * 86))
    with pytest.raises(EcholiaError, match="sealed_keys_invalid"):
        await said_by(laptop)


async def test_keys_are_the_same_for_everybody(world: World) -> None:
    laptop = await world.first()
    phone = await world.added(laptop)
    seen: list[bytes] = []

    def note(request: Request, answer: Answer) -> Answer:
        if request.path == "/llm/keys":
            seen.append(answer.body)
        return answer

    for name, device in (("laptop", laptop), ("phone", phone)):
        world.transport(name).meddle = note
        await said_by(device)
    assert len(seen) == 2
    assert seen[0] == seen[1]
